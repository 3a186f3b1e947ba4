// A server on ws that hands on what one says, to be measured: /publish says it, all at /subscribe hear it, /echo hears itself.
// Called with a port of 127.0.0.1.
import { WebSocketServer } from 'ws';

const subscribers = new Set();
const server = new WebSocketServer({
  host: '127.0.0.1',
  port: Number(process.argv[2]),
  backlog: 4096,
  perMessageDeflate: false,
});

server.on('connection', (socket, request) => {
  if (request.url === '/subscribe') {
    subscribers.add(socket);
    socket.on('close', () => subscribers.delete(socket));
  } else if (request.url === '/publish') {
    socket.on('message', (payload) => {
      for (const subscriber of subscribers) subscriber.send(payload, { binary: false });
    });
  } else {
    socket.on('message', (payload) => socket.send(payload, { binary: false }));
  }
  // A load that is over hangs up without a word.
  socket.on('error', () => socket.terminate());
  socket.send('ready');
});
