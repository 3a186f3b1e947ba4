/** How Taro builds the app: for the browser, with Vite. */

export default {
  projectName: 'tautline-e2e-taro',
  designWidth: 750,
  deviceRatio: { 640: 1.17, 750: 1, 828: 0.905 },
  sourceRoot: 'src',
  outputRoot: 'dist',
  framework: 'react',
  compiler: 'vite',
  plugins: [],
  mini: {},
  h5: { publicPath: './', staticDirectory: 'static', router: { mode: 'hash' } },
};
