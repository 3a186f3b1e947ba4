// A room: the field, the players, what happened. What the line hears ends with the page.

const { page } = require('tautline/page');
const { playerName } = require('../../account');
const { dataOf } = require('../../board');
const { follow, isTurnOf } = require('../../game');
const { tellEvent, wordOfState } = require('../../words');

/** Lines of the list of moves. */
const MOVES_MAX = 30;

/** @returns {import('../../types').GoldApp} */
const app = () => getApp();

Page({
  data: {
    state: '',
    isOnline: false,
    /** @type {string[]} */
    moves: [],
    /** @type {{ [word: string]: string }} */
    words: {},
    headline: '',
    isMine: false,
  },
  room: '',
  /** @type {import('../../game').View | undefined} */
  view: undefined,

  /** @param {{ room?: string }} query */
  onLoad({ room = '' }) {
    const { line, say } = app();
    this.room = room;
    const words = { start: say('start'), leave: say('leave'), home: say('home'), join: say('join'), share: say('share') };
    this.setData({ words });
    const mine = page(line, this);
    const tell = () => this.setData({ state: say(wordOfState(line.state)), isOnline: line.state === 'online' });
    mine.on('state', tell);
    tell();
    const ask = (/** @type {string} */ asked) =>
      /** @type {Promise<import('../../game').View>} */ (line.call('gold.view', { room: asked }, { idempotent: true }));
    // Behind the app's own listener, which knows the player by then.
    mine.on('welcome', () => this.view && this.show(this.view));
    follow(mine, ask, room, (view, event) => this.show(view, event), () => this.setData({ headline: say('noSuchRoom') }));
  },
  onShareAppMessage() {
    return { title: app().say('title'), path: '/pages/room/room?room=' + this.room };
  },

  /**
   * @param {import('../../game').View} view
   * @param {import('../../game').GameEvent} [event]
   */
  show(view, event) {
    const { say } = app();
    this.view = view;
    const told = event ? tellEvent(say, view, event) : '';
    const moves = told ? [told].concat(this.data.moves).slice(0, MOVES_MAX) : this.data.moves;
    this.setData(Object.assign(dataOf(say, view, app().player), { moves }));
  },

  /** @param {{ currentTarget: { dataset: { cell: number } } }} event */
  onDig({ currentTarget }) {
    const { view } = this;
    if (!view || !view.turn || !isTurnOf(view, app().player)) return;
    // It may be sent again, and counts once.
    this.call('gold.dig', { room: this.room, turn: view.turn.number, cell: Number(currentTarget.dataset.cell) });
  },
  onJoin() {
    this.call('gold.join', { room: this.room, name: playerName() });
  },
  onStart() {
    this.call('gold.start', { room: this.room });
  },
  onLeave() {
    this.call('gold.leave', { room: this.room });
    this.onHome();
  },
  onHome() {
    wx.navigateBack({ fail: () => wx.reLaunch({ url: '/pages/home/home' }) });
  },

  /**
   * @param {string} method
   * @param {object} data
   */
  call(method, data) {
    app()
      .line.call(method, data, { idempotent: true })
      .catch((error) => wx.showToast({ title: error.message || error.code, icon: 'none' }));
  },
});
