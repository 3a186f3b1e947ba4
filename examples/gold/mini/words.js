// What the game says, in English and in Chinese. The web page and the mini program share this file.

/** @typedef {'en' | 'zh'} Language */

var en = {
  title: 'Gold',
  tagline: 'Minesweeper turned round: take turns, find the gold.',
  name: 'Your name',
  newRoom: 'New room',
  players: '{n} players',
  rooms: 'Open rooms',
  noRooms: 'No room is open. Open one, and send the address to a friend.',
  join: 'Join',
  watch: 'Watch',
  start: 'Start now',
  leave: 'Leave',
  home: 'Back',
  again: 'Play again',
  share: 'Copy the address',
  copied: 'Copied',
  leaders: 'Best players',
  won: 'won',
  gold: 'gold',
  goldLeft: '{n} gold left',
  waiting: 'Waiting for players: {n} of {max}',
  yourTurn: 'Your turn: dig!',
  turnOf: '{name} digs',
  watching: 'You are watching',
  you: 'you',
  away: 'away',
  left: 'left',
  covered: 'row {row}, column {column}: covered',
  opened: 'row {row}, column {column}: {n} gold around',
  found: 'row {row}, column {column}: gold',
  field: 'The field',
  moves: 'Moves',
  joinedEvent: '{name} sits down',
  startedEvent: 'The game begins',
  dugGold: '{name} finds gold',
  dugNothing: '{name} digs: {n} around',
  dugEmpty: '{name} opens {n} cells',
  passedEvent: '{name} took too long',
  awayEvent: '{name} is away; the seat is kept',
  backEvent: '{name} is back',
  leftEvent: '{name} has left',
  resumedEvent: 'The server was away; the game goes on',
  wins: '{name} wins',
  draw: 'A draw: {name}',
  over_found: 'All gold is found',
  over_deserted: 'The others have left',
  over_idle: 'Nobody digs any more',
  over_not_begun: 'Nobody came',
  over_broken: 'The server has lost its record of this game',
  idle: 'not connected',
  connecting: 'connecting',
  online: 'online',
  waitingLine: 'reconnecting',
  offline: 'no network',
  hidden: 'in the background',
  stopped: 'stopped',
  closed: 'closed',
  lab: 'Lab',
  labHint: 'Two accounts on one phone. Break a line and see what it does.',
  cut: 'Cut',
  mute: 'Half-open',
  hide: 'Background',
  show: 'Foreground',
  drops: 'Drops',
  noDrops: 'None yet',
  missed: 'Missed: {n}',
  noSuchRoom: 'There is no such room',
  noAnswer: 'The server does not answer',
};

/** @type {typeof en} */
var zh = {
  title: '淘金',
  tagline: '反过来的扫雷：轮流挖，找金子。',
  name: '你的名字',
  newRoom: '新房间',
  players: '{n} 人',
  rooms: '房间',
  noRooms: '现在没有房间。开一个，把地址发给朋友。',
  join: '加入',
  watch: '观战',
  start: '现在开始',
  leave: '离开',
  home: '返回',
  again: '再来一局',
  share: '复制地址',
  copied: '已复制',
  leaders: '排行榜',
  won: '胜',
  gold: '金子',
  goldLeft: '还剩 {n} 块金子',
  waiting: '等待玩家：{n} / {max}',
  yourTurn: '轮到你了：挖吧！',
  turnOf: '轮到 {name}',
  watching: '你在观战',
  you: '你',
  away: '暂离',
  left: '已离开',
  covered: '第 {row} 行第 {column} 列：未挖',
  opened: '第 {row} 行第 {column} 列：周围有 {n} 块金子',
  found: '第 {row} 行第 {column} 列：金子',
  field: '场地',
  moves: '经过',
  joinedEvent: '{name} 入座',
  startedEvent: '游戏开始',
  dugGold: '{name} 挖到金子',
  dugNothing: '{name} 挖了：周围 {n} 块',
  dugEmpty: '{name} 翻开 {n} 格',
  passedEvent: '{name} 超时了',
  awayEvent: '{name} 暂离，座位保留',
  backEvent: '{name} 回来了',
  leftEvent: '{name} 离开了',
  resumedEvent: '服务器重启过，游戏继续',
  wins: '{name} 赢了',
  draw: '平局：{name}',
  over_found: '金子全部找到',
  over_deserted: '其他人都离开了',
  over_idle: '没有人再挖了',
  over_not_begun: '没有人来',
  over_broken: '服务器丢失了这局的记录，游戏结束',
  idle: '未连接',
  connecting: '连接中',
  online: '在线',
  waitingLine: '重连中',
  offline: '没有网络',
  hidden: '在后台',
  stopped: '已停止',
  closed: '已关闭',
  lab: '实验室',
  labHint: '一部手机，两个账号。弄断一条线，看它怎么做。',
  cut: '断开',
  mute: '半开',
  hide: '进后台',
  show: '回前台',
  drops: '断线记录',
  noDrops: '还没有',
  missed: '漏掉：{n}',
  noSuchRoom: '没有这个房间',
  noAnswer: '服务器没有回应',
};

/** @typedef {keyof typeof en} Word */

/**
 * @param {Language} language
 */
function speaks(language) {
  var words = language === 'zh' ? zh : en;
  /**
   * @param {Word} word
   * @param {{ [name: string]: string | number }} [values]
   */
  return function say(word, values) {
    return words[word].replace(/\{(\w+)\}/g, function (_, name) {
      return String((values || {})[name]);
    });
  };
}

/**
 * The words for what a line is doing.
 * @param {string} state
 * @returns {Word}
 */
function wordOfState(state) {
  return state === 'waiting' ? 'waitingLine' : /** @type {Word} */ (state in en ? state : 'closed');
}

/**
 * One line for an event; nothing for those that need none.
 * @param {(word: Word, values?: { [name: string]: string | number }) => string} say
 * @param {import('./game').View} view after the event
 * @param {import('./game').GameEvent} event
 * @returns {string}
 */
function tellEvent(say, view, event) {
  var seat = event.seat === undefined ? undefined : view.seats[event.seat];
  var name = seat ? seat.name : '';
  var opened = event.opened || [];
  switch (event.type) {
    case 'joined':
      return say('joinedEvent', { name: name });
    case 'started':
      return say('startedEvent');
    case 'dug':
      if (event.points) return say('dugGold', { name: name });
      return opened.length > 1
        ? say('dugEmpty', { name: name, n: opened.length })
        : say('dugNothing', { name: name, n: opened.length ? opened[0][1] : 0 });
    case 'passed':
      return say('passedEvent', { name: name });
    case 'away':
      return say('awayEvent', { name: name });
    case 'back':
      return say('backEvent', { name: name });
    case 'left':
      return say('leftEvent', { name: name });
    case 'resumed':
      return say('resumedEvent');
    case 'ended':
      return say(/** @type {Word} */ ('over_' + event.why));
    default:
      return '';
  }
}

module.exports = { speaks, wordOfState, tellEvent };
