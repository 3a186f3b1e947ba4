// What the pages have in common: the state of the line, what became of each tap, and a shop that ends with the page.

const { page } = require('tautline/page');
const { subscribeWithState } = require('tautline/with-state');
const { emptyShop, followInbox, followOrders } = require('./shop');
const { aboutTap, outcomeOf, wordOf } = require('./words');

/** @returns {import('./types').CardsApp} */
const app = () => getApp();

/**
 * Follows the member's cards, messages and, with `orders`, orders for as long as the page is loaded: leaving the page
 * unsubscribes, a page or a web-view on top of it does not.
 *
 * @param {any} instance the page, in its `onLoad`
 * @param {boolean} orders
 * @param {(shop: import('./shop').Shop) => void} show
 */
function follow(instance, orders, show) {
  let isGone = false;
  const { onUnload } = instance;
  /** @type {(() => void)[]} */
  let ends = [];
  instance.onUnload = function () {
    isGone = true;
    ends.forEach((end) => end());
    ends = [];
    if (onUnload) onUnload.call(instance);
  };
  if (!wx.getStorageSync('agreed')) return wx.reLaunch({ url: '/pages/login/login' });
  app()
    .logIn()
    .then((member) => {
      const { line, say } = app();
      if (isGone || !line) return;
      const shop = emptyShop();
      const mine = page(line, instance);
      const ask = (/** @type {string} */ method) => line.call(method, {}, { idempotent: true });
      const draw = () => show(shop);
      ends.push(followInbox(mine, ask, shop, draw).unsubscribe);
      if (orders) ends.push(followOrders(subscribeWithState, mine, ask, member, shop, draw).unsubscribe);
      const tell = () => {
        instance.setData({ state: say(wordOf(line.state, 'closed')), isOnline: line.state === 'online' });
        tellTaps();
      };
      const tellTaps = () => {
        instance.setData({ taps: tapsOf(line.state === 'online') });
        draw();
      };
      mine.on('state', tell);
      ends.push(app().onTaps(tellTaps));
      tell();
    });
}

/** @param {boolean} isOnline */
function tapsOf(isOnline) {
  const { say, taps } = app();
  if (!taps) return [];
  return taps.list().map((tap) => ({
    key: tap.key,
    about: aboutTap(say, tap),
    state: tap.state,
    outcome: outcomeOf(say, tap, isOnline),
    isRefused: tap.state === 'refused',
  }));
}

/** @param {string} key */
function dismiss(key) {
  const { taps } = app();
  if (taps) taps.dismiss(key);
}

/**
 * @param {string} method
 * @param {object} data
 */
function tap(method, data) {
  const { taps } = app();
  if (taps) taps.tap(method, data);
}

module.exports = { app, follow, tap, dismiss };
