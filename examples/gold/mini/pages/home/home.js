// Open rooms by plain HTTP: no line is open while only this page is.

const { playerName } = require('../../account');
const { HTTP } = require('../../config');

/** How often the list is fetched while it is seen. */
const FETCH_EVERY_MS = 3000;

/** @returns {import('../../types').GoldApp} */
const app = () => getApp();

Page({
  data: {
    name: '',
    /** @type {{ room: string, is_waiting: boolean, players: string[], about: string }[]} */
    rooms: [],
    /** @type {{ [word: string]: string }} */
    words: {},
    error: '',
    seats: [2, 3, 4],
  },
  /** @type {any} */
  timer: undefined,

  onLoad() {
    const { say } = app();
    const words = { tagline: say('tagline'), newRoom: say('newRoom'), rooms: say('rooms'), noRooms: say('noRooms') };
    const more = { join: say('join'), watch: say('watch'), lab: say('lab'), name: say('name') };
    this.setData({ name: playerName(), words: Object.assign(words, more) });
  },
  onShow() {
    this.fetchRooms();
    this.timer = setInterval(() => this.fetchRooms(), FETCH_EVERY_MS);
  },
  onHide() {
    clearInterval(this.timer);
  },
  onUnload() {
    clearInterval(this.timer);
  },

  fetchRooms() {
    const { say } = app();
    wx.request({
      url: HTTP + '/gold/rooms',
      success: ({ statusCode, data }) => {
        if (statusCode !== 200) return;
        const rooms = /** @type {any[]} */ (data).map((it) => ({
          room: it.room,
          is_waiting: it.is_waiting,
          players: it.players.join(', '),
          about: it.players.length + '/' + it.settings.seats + ' · ' + say('goldLeft', { n: it.gold_left }),
        }));
        this.setData({ rooms, error: '' });
      },
      fail: ({ errMsg }) => this.setData({ error: errMsg }),
    });
  },
  /** @param {{ detail: { value: string } }} event */
  onName({ detail }) {
    const name = detail.value.trim();
    if (name) wx.setStorageSync('name', name);
  },
  /** @param {{ currentTarget: { dataset: { seats: number } } }} event */
  onOpen({ currentTarget }) {
    const settings = { width: 10, height: 10, gold: 20, seats: Number(currentTarget.dataset.seats) };
    this.enter(app().line.call('gold.open', { name: playerName(), settings }, { idempotent: true }));
  },
  /** @param {{ currentTarget: { dataset: { room: string, waiting: boolean } } }} event */
  onEnter({ currentTarget }) {
    const { room, waiting } = currentTarget.dataset;
    if (!waiting) return this.go(room);
    this.enter(app().line.call('gold.join', { name: playerName(), room }, { idempotent: true }));
  },
  onLab() {
    wx.navigateTo({ url: '/pages/lab/lab' });
  },

  /** @param {Promise<any>} joining */
  enter(joining) {
    joining.then(
      ({ room }) => this.go(room),
      (error) => this.setData({ error: error.message || error.code }),
    );
  },
  /** @param {string} room */
  go(room) {
    wx.navigateTo({ url: '/pages/room/room?room=' + room });
  },
});
