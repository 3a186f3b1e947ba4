// The member's messages: what the inbox has brought, on this device or on another one.

const { app, dismiss, follow } = require('../../screen');
const { itemOf } = require('../../words');

Page({
  data: {
    state: '',
    isOnline: false,
    /** @type {object[]} */
    taps: [],
    /** @type {object[]} */
    messages: [],
    /** @type {{ [word: string]: string }} */
    words: {},
  },
  onLoad() {
    const { say } = app();
    this.setData({ words: { noMessages: say('noMessages'), dismiss: say('dismiss') } });
    follow(this, false, ({ messages }) =>
      this.setData({ messages: messages.map(({ id, about }) => ({ id, text: say('shipped', { item: itemOf(say, about) }) })) }),
    );
  },
  /** @param {{ currentTarget: { dataset: { key: string } } }} event */
  onDismiss({ currentTarget }) {
    dismiss(currentTarget.dataset.key);
  },
});
