// A server on Socket.IO that hands on what one says, to be measured: `publish` reaches all that came with role=subscribe,
// `echo` comes back. Called with a port of 127.0.0.1.
import { createServer } from 'node:http';
import { Server } from 'socket.io';

const http = createServer();
const io = new Server(http, {
  transports: ['websocket'],
  serveClient: false,
  perMessageDeflate: false,
  httpCompression: false,
});

io.on('connection', (socket) => {
  if (socket.handshake.query.role === 'subscribe') socket.join('news');
  socket.on('publish', (payload) => io.to('news').emit('publication', payload));
  socket.on('echo', (payload) => socket.emit('echo', payload));
});
http.listen({ host: '127.0.0.1', port: Number(process.argv[2]), backlog: 4096 });
