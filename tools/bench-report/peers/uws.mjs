// A server on uWebSockets that hands on what one says, to be measured: as ws.mjs does it. Bun brings the server and runs this.
// Called with a port of 127.0.0.1.
const ROLES = new Map([
  ['/subscribe', 'subscribe'],
  ['/publish', 'publish'],
  ['/echo', 'echo'],
]);

const server = Bun.serve({
  hostname: '127.0.0.1',
  port: Number(process.argv[2]),
  fetch(request, server) {
    // A text of our own: a piece of its URL would keep the whole URL of each connection.
    const role = ROLES.get(new URL(request.url).pathname);
    if (role && server.upgrade(request, { data: role })) return undefined;
    return new Response('', { status: 404 });
  },
  websocket: {
    perMessageDeflate: false,
    // Whoever is silent is to stay, and the load alone sends pings.
    idleTimeout: 0,
    sendPings: false,
    // Nothing is to be dropped: the load holds back by itself. 0 is without a limit.
    backpressureLimit: 0,
    open(socket) {
      if (socket.data === 'subscribe') socket.subscribe('news');
      socket.send('ready');
    },
    message(socket, payload) {
      if (socket.data === 'echo') socket.send(payload);
      else if (socket.data === 'publish') server.publish('news', payload);
    },
  },
});
