// Two accounts on one phone, each with a line of its own: break one, and see what it does and what it tells.

const { Tautline, wechatHost } = require('tautline/wechat');
const { debugRing } = require('tautline/debug');
const { WORDS_EN, WORDS_ZH } = require('tautline/words');
const { account } = require('../../account');
const { breakable } = require('../../breakable');
const { SOCKET } = require('../../config');
const { follow } = require('../../game');
const { wordOfState } = require('../../words');

/** Drops that are shown of each line. */
const DROPS_MAX = 8;

/** @returns {import('../../types').GoldApp} */
const app = () => getApp();

/**
 * @typedef {object} Account
 * @property {import('../../types').Line} line
 * @property {ReturnType<typeof breakable>} network
 * @property {ReturnType<typeof debugRing>} ring
 * @property {string} player
 */

Page({
  data: {
    /** @type {{ [word: string]: string }} */
    words: {},
    /** @type {{ name: string, state: string, isOnline: boolean, isMute: boolean, isHidden: boolean, drops: string[], n: number }[]} */
    lines: [],
    room: '',
    headline: '',
  },
  /** @type {Account[]} */
  accounts: [],

  onLoad() {
    const { say } = app();
    const words = { hint: say('labHint'), cut: say('cut'), mute: say('mute'), hide: say('hide'), show: say('show') };
    this.setData({ words: Object.assign(words, { drops: say('drops'), none: say('noDrops'), newRoom: say('newRoom') }) });
    this.accounts = ['.a', '.b'].map((which, index) => this.begin(which, index));
    this.setData({ lines: this.accounts.map((_, index) => this.blank(index)) });
    this.play();
  },
  onUnload() {
    this.accounts.forEach(({ line }) => line.close());
  },

  /**
   * @param {string} which
   * @param {number} index
   * @returns {Account}
   */
  begin(which, index) {
    const network = breakable(wx);
    const ring = debugRing();
    const line = new Tautline({
      url: SOCKET,
      host: wechatHost(network.api),
      auth: () => account(which).then(({ token }) => ({ token })),
      trace: ring.trace,
      connect_timeout_ms: 5000,
    });
    const mine = { line, network, ring, player: '' };
    const words = app().say('title') === '淘金' ? WORDS_ZH : WORDS_EN;
    line.on('state', () => this.showState(index));
    line.on('drop', (drop) => {
      const drops = [drop.cause + ': ' + words[drop.cause]].concat(this.data.lines[index].drops);
      this.setData({ ['lines[' + index + '].drops']: drops.slice(0, DROPS_MAX) });
    });
    return mine;
  },
  /** @param {number} index */
  blank(index) {
    return { name: 'AB'[index], state: '', isOnline: false, isMute: false, isHidden: false, drops: [], n: 0 };
  },
  /** @param {number} index */
  showState(index) {
    const { state } = this.accounts[index].line;
    const shown = app().say(wordOfState(state));
    this.setData({ ['lines[' + index + '].state']: shown, ['lines[' + index + '].isOnline']: state === 'online' });
  },

  /** A game of both: each sees every event, whatever is done to its line. */
  play() {
    const [a, b] = this.accounts;
    const settings = { width: 10, height: 10, gold: 20, seats: 2 };
    const options = { idempotent: true };
    const opening = a.line.call('gold.open', { name: 'A', settings }, options);
    return opening
      .then((opened) => {
        const { room } = /** @type {{ room: string }} */ (opened);
        this.setData({ room });
        return b.line.call('gold.join', { name: 'B', room }, options).then(() => {
          [a, b].forEach(({ line }, index) => {
            const ask = (/** @type {string} */ asked) =>
              /** @type {Promise<import('../../game').View>} */ (line.call('gold.view', { room: asked }, options));
            follow(line, ask, room, (view) => this.setData({ ['lines[' + index + '].n']: view.n }));
          });
        });
      })
      .catch((error) => this.setData({ headline: error.message || error.code }));
  },

  /** @param {{ currentTarget: { dataset: { index: number } } }} event */
  onCut({ currentTarget }) {
    this.accounts[currentTarget.dataset.index].network.cut();
  },
  /** @param {{ currentTarget: { dataset: { index: number } } }} event */
  onMute({ currentTarget }) {
    const { index } = currentTarget.dataset;
    const isMute = !this.data.lines[index].isMute;
    this.accounts[index].network.mute(isMute);
    this.setData({ ['lines[' + index + '].isMute']: isMute });
  },
  /** @param {{ currentTarget: { dataset: { index: number } } }} event */
  onBackground({ currentTarget }) {
    const { index } = currentTarget.dataset;
    const isHidden = !this.data.lines[index].isHidden;
    const { line } = this.accounts[index];
    if (isHidden) line.notifyHide();
    else line.notifyShow();
    this.setData({ ['lines[' + index + '].isHidden']: isHidden });
  },
  /** What happened last, for a report: nothing of what was said is in it. */
  onCopy() {
    wx.setClipboardData({ data: this.accounts.map(({ ring }) => ring.print()).join('\n\n') });
  },
});
