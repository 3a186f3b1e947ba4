// The player of this device: made at the first start, kept by the device. A real app would rather give `auth` a code of
// `wx.login`, which the gateway takes to WeChat by itself.

const { HTTP } = require('./config');

/** @type {{ [key: string]: Promise<import('./types').Account> | undefined }} */
const asked = {};

/**
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

module.exports = { account, playerName };
