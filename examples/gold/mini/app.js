// The app: one line, which all pages share. It connects when a page first calls or subscribes.

const { Tautline } = require('tautline/wechat');
const { storage } = require('tautline/storage');
const { login } = require('./account');
const { SOCKET } = require('./config');
const { speaks } = require('./words');

App({
  onLaunch() {
    this.say = speaks(wx.getAppBaseInfo().language.indexOf('zh') === 0 ? 'zh' : 'en');
    this.line = new Tautline({
      url: SOCKET,
      auth: login,
      // A dig that waits for the network is sent also after the app was destroyed.
      storage: storage({ name: 'gold' }),
    });
    // Whose seat is the own one: known also before there is a network.
    this.player = wx.getStorageSync('player');
    this.line.on('welcome', ({ user = '' }) => {
      this.player = user;
      wx.setStorageSync('player', user);
    });
  },
  player: '',
  /** @type {import('./types').Say} */
  say: speaks('en'),
  /** @type {import('./types').Line} */
  line: /** @type {any} */ (undefined),
});
