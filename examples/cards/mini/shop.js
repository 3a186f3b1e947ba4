// What a screen knows of a member: cards, orders, messages. The web page and the mini program share this file.

/**
 * @typedef {{ number: string, bound_at: number }} Card
 * @typedef {{ id: string, card: string, item: string, step: number, changed_at: number }} Order
 * @typedef {{ id: string, kind: string, about: string, sent_at: number }} Message
 * @typedef {{ type: 'card.bound', card: Card } | { type: 'message', message: Message }} InboxEntry
 *
 * @typedef {object} Shop
 * @property {Card[]} cards the newest first, as everything here
 * @property {Order[]} orders
 * @property {Message[]} messages
 * @property {string[]} told what has arrived, in its order
 *
 * @typedef {object} Handlers of a channel, as the SDK takes them
 * @property {(publication: any) => unknown} [onPublication]
 * @property {(where: any) => unknown} [onSubscribed]
 * @property {(gap: any) => unknown} [onGap]
 *
 * @typedef {object} Line what is needed of a line, or of that of a page
 * @property {(channel: string, handlers: any, how?: any) => { unsubscribe(): void }} subscribe
 * @property {(handlers: Handlers) => { unsubscribe(): void }} inbox
 *
 * @typedef {(line: any, channel: string, handlers: any) => { unsubscribe(): void }} WithState
 * @typedef {(method: string) => Promise<any>} Ask
 */

/** What is kept of `told`, for tests and for people who are curious. */
var TOLD_MAX = 1000;
/** The first wait before a list that did not come is asked for again, and the longest. */
var RETRY_MS = 1000;
var RETRY_MAX_MS = 15000;

/** @returns {Shop} */
function emptyShop() {
  return { cards: [], orders: [], messages: [], told: [] };
}

/**
 * Puts a row in the place of the one with the same key, or adds it.
 * @template T
 * @param {T[]} rows
 * @param {keyof T} key
 * @param {T} row
 * @returns {T[]}
 */
function put(rows, key, row) {
  var isThere = rows.some(function (it) {
    return it[key] === row[key];
  });
  if (!isThere) return [row].concat(rows);
  return rows.map(function (it) {
    return it[key] === row[key] ? row : it;
  });
}

/**
 * @param {Shop} shop
 * @param {InboxEntry} entry
 */
function applyInbox(shop, entry) {
  if (entry.type === 'card.bound') {
    shop.cards = put(shop.cards, 'number', entry.card);
    tell(shop, 'card ' + entry.card.number);
  } else if (entry.type === 'message') {
    shop.messages = put(shop.messages, 'id', entry.message);
    tell(shop, 'message ' + entry.message.id);
  }
}

/**
 * A state that was loaded may be newer than a change that comes behind it.
 * @param {Shop} shop
 * @param {Order} order
 */
function applyOrder(shop, order) {
  var isOld = shop.orders.some(function (it) {
    return it.id === order.id && it.step > order.step;
  });
  if (!isOld) shop.orders = put(shop.orders, 'id', order);
  tell(shop, 'order ' + order.id + ' ' + order.step);
}

/**
 * @param {Shop} shop
 * @param {string} what
 */
function tell(shop, what) {
  shop.told.push(what);
  if (shop.told.length > TOLD_MAX) shop.told.shift();
}

/**
 * Cards and messages: the lists, once the inbox is being heard, and then what comes in it.
 * @param {Line} line
 * @param {Ask} ask
 * @param {Shop} shop
 * @param {() => void} onChange
 * @returns {{ unsubscribe(): void }}
 */
function followInbox(line, ask, shop, onChange) {
  var isLoaded = false;
  var isOver = false;
  /** @param {number} waitMs */
  function load(waitMs) {
    if (isOver) return;
    Promise.all([ask('card.list'), ask('message.list')]).then(
      function (lists) {
        isLoaded = true;
        // What has come meanwhile is newer than the lists, or in them.
        /** @type {Card[]} */ (lists[0]).forEach(function (card) {
          shop.cards = put(shop.cards, 'number', card);
        });
        /** @type {Message[]} */ (lists[1]).forEach(function (message) {
          shop.messages = put(shop.messages, 'id', message);
        });
        shop.cards.sort(function (one, other) {
          return other.bound_at - one.bound_at || (other.number > one.number ? 1 : -1);
        });
        shop.messages.sort(function (one, other) {
          return other.sent_at - one.sent_at;
        });
        if (!isOver) onChange();
      },
      function () {
        setTimeout(load, waitMs, Math.min(2 * waitMs, RETRY_MAX_MS));
      },
    );
  }
  var subscription = line.inbox({
    onSubscribed: function () {
      if (!isLoaded) load(RETRY_MS);
    },
    onPublication: function (publication) {
      applyInbox(shop, publication.data);
      onChange();
    },
    onGap: function () {
      load(RETRY_MS);
    },
  });
  return {
    unsubscribe: function () {
      isOver = true;
      subscription.unsubscribe();
    },
  };
}

/**
 * The orders: the list, and what changes behind it.
 * @param {WithState} withState `subscribeWithState` of the SDK
 * @param {Line} line
 * @param {Ask} ask
 * @param {string} member
 * @param {Shop} shop
 * @param {() => void} onChange
 */
function followOrders(withState, line, ask, member, shop, onChange) {
  return withState(line, 'orders:' + member, {
    getState: function () {
      return ask('order.list').then(function (orders) {
        return { state: orders };
      });
    },
    onState: function (/** @type {Order[]} */ orders) {
      shop.orders = orders;
      onChange();
    },
    onPublication: function (/** @type {{ data: Order }} */ publication) {
      applyOrder(shop, publication.data);
      onChange();
    },
  });
}

module.exports = { emptyShop, applyInbox, applyOrder, followInbox, followOrders };
