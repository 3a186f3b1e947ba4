// The app: one line, which all pages share. It connects when a page first calls or subscribes.

const { Tautline } = require('tautline/wechat');
const { storage } = require('tautline/storage');
const { account } = require('./account');
const { SOCKET } = require('./config');
const { speaks } = require('./words');

App({
  onLaunch() {
    this.say = speaks(wx.getAppBaseInfo().language.indexOf('zh') === 0 ? 'zh' : 'en');
    this.line = new Tautline({
      url: SOCKET,
      auth: () => account('').then(({ token }) => ({ token })),
      // A dig that waits for the network is sent also after the app was destroyed.
      storage: storage({ name: 'gold' }),
    });
  },
  /** @type {import('./types').Say} */
  say: speaks('en'),
  /** @type {import('./types').Line} */
  line: /** @type {any} */ (undefined),
});
