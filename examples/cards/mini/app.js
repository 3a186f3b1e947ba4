// The app: one line, which all pages share, and the taps that wait for their outcome.

const { Tautline } = require('tautline/wechat');
const { SOCKET } = require('./config');
const { makeTaps } = require('./taps');
const { speaks } = require('./words');

/** A login: the code goes to the gateway, which takes it to WeChat. The gateway asks for it once a day at most. */
function code() {
  return new Promise((resolve, reject) =>
    wx.login({ success: ({ code }) => resolve({ code, provider: 'wechat' }), fail: ({ errMsg }) => reject(new Error(errMsg)) }),
  );
}

/** Taps of this member without an outcome. */
function keptTaps(/** @type {string} */ user) {
  const prefix = 'taps.' + user + '.';
  const names = () => wx.getStorageInfoSync().keys.filter((name) => name.indexOf(prefix) === 0);
  return {
    all: () => names().map((name) => wx.getStorageSync(name)),
    set: (/** @type {import('./taps').Tap} */ tap) => wx.setStorageSync(prefix + tap.key, tap),
    remove: (/** @type {string} */ key) => wx.removeStorageSync(prefix + key),
  };
}

App({
  onLaunch() {
    this.say = speaks(wx.getAppBaseInfo().language.indexOf('zh') === 0 ? 'zh' : 'en');
    // Somebody who has agreed to log in is not asked again.
    if (wx.getStorageSync('agreed')) this.logIn();
  },

  /** Resolves with the member, as soon as the gateway has said who that is. */
  logIn() {
    if (this.loggingIn) return this.loggingIn;
    wx.setStorageSync('agreed', true);
    const line = new Tautline({ url: SOCKET, auth: code });
    this.line = line;
    this.loggingIn = new Promise((resolve) => {
      line.on('welcome', ({ user }) => {
        if (this.member === user || !user) return;
        this.member = user;
        this.taps = makeTaps((method, data, how) => line.call(method, data, how), keptTaps(user), () => this.tellTaps());
        resolve(user);
      });
    });
    line.connect();
    return this.loggingIn;
  },
  logOut() {
    wx.removeStorageSync('agreed');
    if (this.line) this.line.close();
    this.line = this.taps = this.loggingIn = undefined;
    this.member = '';
  },

  onTaps(/** @type {() => void} */ tell) {
    this.listeners.push(tell);
    tell();
    return () => {
      this.listeners = this.listeners.filter((it) => it !== tell);
    };
  },
  tellTaps() {
    this.listeners.forEach((tell) => tell());
  },

  /** @type {(() => void)[]} */
  listeners: [],
  member: '',
  say: speaks('en'),
  /** @type {import('./types').Line | undefined} */
  line: undefined,
  /** @type {import('./types').CardsApp['taps']} */
  taps: undefined,
  /** @type {Promise<string> | undefined} */
  loggingIn: undefined,
});
