// The card shop in plain `wx.connectSocket` code, without any SDK: heartbeats, JSON with a `type`, pushes. It connects to
// `/plain` of the gateway. What an SDK does by itself is done by hand here: connecting again, logging in again, sending again
// what was not answered, loading the lists again.

var HEARTBEAT_MS = 20000;
var RECONNECT_MS = 2000;

/**
 * @param {any} wx
 * @param {string} url
 * @param {string} token
 * @param {(shop: any) => void} show
 */
function openShop(wx, url, token, show) {
  var shop = { state: 'connecting', cards: [], orders: [], messages: [], told: [], errors: [] };
  // Requests without an answer, by their id: they are sent again after the next login. Their key makes that harmless.
  var unanswered = {};
  var lastId = 0;
  var socket = null;
  var heartbeat = null;

  function connect() {
    socket = wx.connectSocket({ url: url });
    socket.onOpen(function () {
      send({ type: 'auth', token: token });
      heartbeat = setInterval(function () {
        send({ type: 'heartBeat' });
      }, HEARTBEAT_MS);
    });
    socket.onMessage(function (event) {
      receive(JSON.parse(event.data));
      show(shop);
    });
    // Errors are followed by a close.
    socket.onError(function () {});
    socket.onClose(function () {
      clearInterval(heartbeat);
      shop.state = 'connecting';
      show(shop);
      setTimeout(connect, RECONNECT_MS);
    });
  }

  function send(message) {
    socket.send({ data: JSON.stringify(message) });
  }

  function request(type, fields) {
    var message = Object.assign({ type: type, id: ++lastId }, fields);
    unanswered[message.id] = message;
    if (shop.state === 'online') send(message);
  }

  function load() {
    request('card.list', {});
    request('order.list', {});
    request('message.list', {});
  }

  function receive(message) {
    // A push: what the back end has published in the member's inbox, as it is.
    if (message.type === 'card.bound') {
      shop.told.push(message.card.number);
      request('card.list', {});
    } else if (message.type === 'message') {
      request('order.list', {});
      request('message.list', {});
    } else if (message.msgType === 'auth_ack') {
      if (!message.success) {
        shop.errors.push(message.code);
        return;
      }
      shop.state = 'online';
      Object.keys(unanswered).forEach(function (id) {
        send(unanswered[id]);
      });
      load();
    } else if (message.msgType === 'gap') {
      // Pushes are missing here.
      load();
    } else if (message.id !== undefined && unanswered[message.id]) {
      answered(unanswered[message.id], message);
    }
  }

  function answered(asked, answer) {
    if (!answer.success && (answer.code === 'unavailable' || answer.code === 'timeout' || answer.code === 'in_doubt')) {
      setTimeout(function () {
        if (shop.state === 'online') send(asked);
      }, answer.retry_after_ms || RECONNECT_MS);
      return;
    }
    delete unanswered[asked.id];
    if (!answer.success) shop.errors.push(answer.msg || answer.code);
    else if (asked.type === 'card.list') shop.cards = answer.data;
    else if (asked.type === 'order.list') shop.orders = answer.data;
    else if (asked.type === 'message.list') shop.messages = answer.data;
    else request(asked.type === 'card.bind' ? 'card.list' : 'order.list', {});
  }

  connect();
  return {
    shop: shop,
    bind: function (number) {
      request('card.bind', { key: newKey(), number: number });
    },
    order: function (card, item) {
      request('order.place', { key: newKey(), card: card, item: item });
    },
    advance: function (order, step) {
      request('order.advance', { key: newKey(), order: order, step: step });
    },
  };
}

/** Names a tap: sent twice, it counts once. */
function newKey() {
  return Date.now().toString(36) + Math.random().toString(36).slice(2, 12);
}
