// What the shop says, in English and in Chinese. The web page and the mini program share this file.

/** @typedef {'en' | 'zh'} Language */

var en = {
  title: 'Cards',
  tagline: 'Bind your member card, order, and be told when it is on its way.',
  name: 'Member name',
  nameHint: 'letters and digits',
  login: 'Log in',
  logout: 'Log out',
  badName: 'A name has 1 to 24 letters and digits.',
  noServer: 'The shop cannot be reached. Try again.',
  loggedOut: 'The login has ended. Log in again.',
  cards: 'Cards',
  orders: 'Orders',
  messages: 'Messages',
  bind: 'Bind',
  number: 'Card number',
  bindTitle: 'Bind a card',
  noCards: 'No card yet. Bind the first one above.',
  noOrders: 'No order yet. Choose something on one of your cards.',
  noMessages: 'Nothing yet. When an order is shipped, you read it here.',
  member: 'MEMBER',
  buy: 'Order',
  item_tea: 'Green tea',
  item_coffee: 'Coffee',
  item_cup: 'A cup',
  step_0: 'placed',
  step_1: 'paid',
  step_2: 'shipped',
  step_3: 'delivered',
  do_1: 'Pay',
  do_2: 'Ship',
  do_3: 'Received',
  shipped: '{item} is on its way',
  tap_bind: 'Card {what}',
  tap_place: '{what}',
  tap_advance: '{what}',
  tap_consent: 'A message by WeChat',
  sending: 'sending…',
  sendingOffline: 'waits for the network…',
  again: 'the shop does not answer, trying again…',
  done: 'done',
  dismiss: 'OK',
  refused_bad_number: 'a card number has 8 to 19 digits',
  refused_card_taken: 'this card is bound already',
  refused_no_card: 'this card is not bound',
  refused_conflict: 'another device was faster',
  refused_not_found: 'there is no such order',
  refused_other: 'refused: {code}',
  consent: 'Tell me by WeChat when it ships',
  consented: 'You will be told',
  help: 'Help',
  idle: 'not connected',
  connecting: 'connecting',
  online: 'online',
  waiting: 'reconnecting',
  offline: 'no network',
  hidden: 'in the background',
  stopped: 'stopped',
  closed: 'closed',
};

/** @type {typeof en} */
var zh = {
  title: '会员卡',
  tagline: '绑定会员卡，下单，发货时第一时间知道。',
  name: '会员名',
  nameHint: '字母和数字',
  login: '登录',
  logout: '退出',
  badName: '会员名为 1 到 24 个字母或数字。',
  noServer: '连不上商店，请重试。',
  loggedOut: '登录已失效，请重新登录。',
  cards: '卡包',
  orders: '订单',
  messages: '消息',
  bind: '绑定',
  number: '卡号',
  bindTitle: '绑定会员卡',
  noCards: '还没有卡，先在上面绑定一张。',
  noOrders: '还没有订单，在卡上选一样商品吧。',
  noMessages: '暂无消息。订单发货后会在这里提醒。',
  member: '会员',
  buy: '下单',
  item_tea: '绿茶',
  item_coffee: '咖啡',
  item_cup: '杯子',
  step_0: '已下单',
  step_1: '已付款',
  step_2: '已发货',
  step_3: '已签收',
  do_1: '付款',
  do_2: '发货',
  do_3: '确认收货',
  shipped: '{item}已发货',
  tap_bind: '卡 {what}',
  tap_place: '{what}',
  tap_advance: '{what}',
  tap_consent: '微信提醒',
  sending: '提交中…',
  sendingOffline: '等待网络…',
  again: '商店没有回应，正在重试…',
  done: '成功',
  dismiss: '知道了',
  refused_bad_number: '卡号为 8 到 19 位数字',
  refused_card_taken: '这张卡已被绑定',
  refused_no_card: '这张卡还没有绑定',
  refused_conflict: '另一台设备抢先了',
  refused_not_found: '没有这个订单',
  refused_other: '未成功：{code}',
  consent: '发货时微信提醒我',
  consented: '发货时会提醒你',
  help: '帮助',
  idle: '未连接',
  connecting: '连接中',
  online: '在线',
  waiting: '重连中',
  offline: '没有网络',
  hidden: '在后台',
  stopped: '已停止',
  closed: '已关闭',
};

/** @typedef {keyof typeof en} Word */
/** @typedef {(word: Word, values?: { [name: string]: string | number }) => string} Say */

/**
 * @param {Language} language
 * @returns {Say}
 */
function speaks(language) {
  var words = language === 'zh' ? zh : en;
  return function say(word, values) {
    return words[word].replace(/\{(\w+)\}/g, function (_, name) {
      return String((values || {})[name]);
    });
  };
}

/**
 * A word that a name makes, or another one where there is none.
 * @param {string} name
 * @param {Word} otherwise
 * @returns {Word}
 */
function wordOf(name, otherwise) {
  return /** @type {Word} */ (name in en ? name : otherwise);
}

/**
 * The name of an item; an item without a name is its code.
 * @param {Say} say
 * @param {string} item
 */
function itemOf(say, item) {
  var word = 'item_' + item;
  return word in en ? say(/** @type {Word} */ (word)) : item;
}

/**
 * What a tap is about.
 * @param {Say} say
 * @param {import('./taps').Tap} tap
 */
function aboutTap(say, tap) {
  if (tap.method === 'card.bind') return say('tap_bind', { what: tail(tap.data.number) });
  if (tap.method === 'order.place') return say('buy') + ': ' + itemOf(say, tap.data.item);
  if (tap.method === 'order.advance') return say(wordOf('do_' + tap.data.step, 'orders'));
  return say('tap_consent');
}

/**
 * What became of it.
 * @param {Say} say
 * @param {import('./taps').Tap} tap
 * @param {boolean} isOnline
 */
function outcomeOf(say, tap, isOnline) {
  if (tap.state === 'refused') return say(wordOf('refused_' + tap.code, 'refused_other'), { code: tap.code });
  if (tap.state === 'waiting') return say('again');
  if (tap.state === 'sending') return say(isOnline ? 'sending' : 'sendingOffline');
  return say('done');
}

/** @param {string} number */
function tail(number) {
  return '•' + String(number).slice(-4);
}

module.exports = { speaks, wordOf, itemOf, aboutTap, outcomeOf, tail };
