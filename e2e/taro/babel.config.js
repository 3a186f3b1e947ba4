/** As Taro's own templates have it. */

module.exports = { presets: [['taro', { framework: 'react', ts: true, compiler: 'vite' }]] };
