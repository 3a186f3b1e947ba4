// The member's cards: bind one, order with one. A card that another device binds is here at once.

const { app, dismiss, follow, tap } = require('../../screen');
const { itemOf } = require('../../words');

const ITEMS = ['tea', 'coffee', 'cup'];

Page({
  data: {
    state: '',
    isOnline: false,
    number: '',
    /** @type {object[]} */
    taps: [],
    /** @type {object[]} */
    cards: [],
    /** @type {object[]} */
    items: [],
    /** @type {{ [word: string]: string }} */
    words: {},
  },
  onLoad() {
    const { say } = app();
    const words = { bind: say('bind'), number: say('number'), noCards: say('noCards'), dismiss: say('dismiss') };
    const more = { orders: say('orders'), messages: say('messages'), help: say('help'), logout: say('logout') };
    this.setData({ words: Object.assign(words, more), items: ITEMS.map((item) => ({ item, name: itemOf(say, item) })) });
    follow(this, false, ({ cards }) => this.setData({ cards }));
  },
  /** @param {{ detail: { value: string } }} event */
  onNumber({ detail }) {
    this.setData({ number: detail.value });
  },
  onBind() {
    tap('card.bind', { number: this.data.number.replace(/\s/g, '') });
    this.setData({ number: '' });
  },
  /** @param {{ currentTarget: { dataset: { card: string, item: string } } }} event */
  onOrder({ currentTarget }) {
    const { card, item } = currentTarget.dataset;
    tap('order.place', { card, item });
  },
  /** @param {{ currentTarget: { dataset: { key: string } } }} event */
  onDismiss({ currentTarget }) {
    dismiss(currentTarget.dataset.key);
  },
  onOrders() {
    wx.navigateTo({ url: '/pages/orders/orders' });
  },
  onMessages() {
    wx.navigateTo({ url: '/pages/messages/messages' });
  },
  onHelp() {
    wx.navigateTo({ url: '/pages/help/help' });
  },
  onLogout() {
    app().logOut();
    wx.reLaunch({ url: '/pages/login/login' });
  },
});
