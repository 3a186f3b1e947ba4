// The member's orders, each with the step that comes next. The tap that ships one asks for consent to a message by WeChat.

const { app, dismiss, follow, tap } = require('../../screen');
const { TEMPLATE } = require('../../config');
const { itemOf, tail, wordOf } = require('../../words');

const LAST_STEP = 3;

Page({
  data: {
    state: '',
    isOnline: false,
    /** @type {object[]} */
    taps: [],
    /** @type {object[]} */
    orders: [],
    /** @type {{ [word: string]: string }} */
    words: {},
  },
  onLoad() {
    const { say } = app();
    this.setData({ words: { noOrders: say('noOrders'), dismiss: say('dismiss'), consent: say('consent') } });
    follow(this, true, ({ orders }) => this.setData({ orders: orders.map((order) => this.rowOf(order)) }));
  },
  /** @param {import('../../shop').Order} order */
  rowOf({ id, item, card, step }) {
    const { say, taps } = app();
    const isBusy = taps !== undefined && taps.list().some((it) => it.data.order === id && it.state !== 'done' && it.state !== 'refused');
    return {
      id,
      about: itemOf(say, item) + ' ' + tail(card),
      step: say(wordOf('step_' + step, 'orders')),
      next: step < LAST_STEP ? step + 1 : 0,
      action: step < LAST_STEP ? say(wordOf('do_' + (step + 1), 'orders')) : '',
      isBusy,
    };
  },
  /** @param {{ currentTarget: { dataset: { order: string, step: number } } }} event */
  onAdvance({ currentTarget }) {
    const { order, step } = currentTarget.dataset;
    tap('order.advance', { order, step: Number(step) });
  },
  /** WeChat asks only from a tap, and one tap is one message. */
  onConsent() {
    wx.requestSubscribeMessage({
      tmplIds: [TEMPLATE],
      success: (answer) => {
        const isGiven = /** @type {{ [template: string]: unknown }} */ (/** @type {unknown} */ (answer))[TEMPLATE] === 'accept';
        if (isGiven) tap('consent.give', { templates: [TEMPLATE] });
      },
      fail: ({ errMsg }) => wx.showToast({ title: errMsg, icon: 'none' }),
    });
  },
  /** @param {{ currentTarget: { dataset: { key: string } } }} event */
  onDismiss({ currentTarget }) {
    dismiss(currentTarget.dataset.key);
  },
});
