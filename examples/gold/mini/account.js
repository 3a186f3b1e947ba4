// Who plays. The app logs in with a code of `wx.login`, which the gateway takes to WeChat by itself; the lab has accounts that
// the server makes, since a phone has one user at WeChat.

const { HTTP, MOCK_LOGIN } = require('./config');

/**
 * A login of this phone's user: a code is good once.
 * @returns {Promise<{ code: string, provider: string }>}
 */
function login() {
  const provider = 'wechat';
  if (MOCK_LOGIN) return Promise.resolve({ code: mockCode(), provider });
  return new Promise((resolve, reject) => {
    wx.login({
      success: ({ code }) => resolve({ code, provider }),
      fail: ({ errMsg }) => reject(new Error(errMsg)),
    });
  });
}

/** The server's mock takes any code, and names the user by what stands before the dot. */
function mockCode() {
  let name = wx.getStorageSync('mock');
  if (!name) {
    name = 'mock-' + String(Math.random()).slice(2, 14);
    wx.setStorageSync('mock', name);
  }
  return name + '.' + Date.now() + String(Math.random()).slice(2, 6);
}

/** @type {{ [key: string]: Promise<import('./types').Account> | undefined }} */
const asked = {};

/**
 * A player whom the server makes at the first start, kept by the device.
 * @param {string} which another one for another player on this device
 * @returns {Promise<import('./types').Account>}
 */
function account(which) {
  const key = 'account' + which;
  const kept = wx.getStorageSync(key);
  if (kept) return Promise.resolve(kept);
  // Two pages that ask at once get the same player.
  const running = asked[key];
  if (running) return running;
  /** @type {Promise<import('./types').Account>} */
  const made = new Promise((resolve, reject) => {
    wx.request({
      url: HTTP + '/gold/players',
      method: 'POST',
      header: { 'content-type': 'application/json' },
      data: {},
      success: ({ statusCode, data }) => {
        if (statusCode !== 200) return reject(new Error('the server answered ' + statusCode));
        wx.setStorageSync(key, data);
        resolve(/** @type {import('./types').Account} */ (data));
      },
      fail: ({ errMsg }) => reject(new Error(errMsg)),
    });
  });
  asked[key] = made;
  const again = () => {
    delete asked[key];
  };
  made.then(again, again);
  return made;
}

/** The name on the screens. */
function playerName() {
  let name = wx.getStorageSync('name');
  if (!name) {
    name = '玩家 ' + Math.floor(Math.random() * 900 + 100);
    wx.setStorageSync('name', name);
  }
  return name;
}

module.exports = { login, account, playerName };
