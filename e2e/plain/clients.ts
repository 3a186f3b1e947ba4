/** The clients of the test: three packages from npm, unchanged, and three snippets as people write them. */

import './window.ts';
import ReconnectingWebSocket from 'reconnecting-websocket';
import heartbeatJs from 'websocket-heartbeat-js';
import heartbeatMiniprogram from 'websocket-heartbeat-miniprogram';
import { WebSocket } from 'ws';
import type { Book } from './book.ts';
import { miniprogram } from './miniprogram.ts';

/** A client that connects, sends `hello` whenever it is open, and comes back by itself. */
export interface Client {
  send(text: string): void;
  close(): void;
}

export interface ClientOptions {
  url: string;
  /** What is sent whenever a connection has opened. */
  hello: string;
  book: Book;
}

export interface Kind {
  name: string;
  /** The answer to its heartbeat; none: it has no heartbeat. */
  answer?: string;
  start(options: ClientOptions): Promise<Client>;
}

/** Short, so that a test sees many of them. Milliseconds. */
const PING_MS = 50;
const RETRY_MS = 20;

/** A package's export, whichever way it was built. */
function unwrap<T>(exported: T): T {
  return (exported as { default?: T }).default ?? exported;
}

/**
 * A page's socket. `websocket-heartbeat-js` leaves its timer on when a connection is lost and sends its heartbeat into the
 * next one before that is open: the error ends no page, as it would end a process.
 */
class PageSocket extends WebSocket {
  override send(data: Parameters<WebSocket['send']>[0]): void {
    if (this.readyState !== WebSocket.CONNECTING) super.send(data);
  }
}

// The packages look for the browser's.
Object.assign(globalThis, { WebSocket: PageSocket });

export const KINDS: Kind[] = [
  {
    name: 'websocket-heartbeat-js',
    answer: 'heartbeat',
    async start({ url, hello, book }) {
      const Heartbeat = unwrap(heartbeatJs);
      const client = new Heartbeat({ url, pingTimeout: PING_MS, pongTimeout: 10_000, reconnectTimeout: RETRY_MS });
      client.onopen = () => {
        book.opened();
        client.send(hello);
      };
      client.onmessage = (event) => book.received(event.data);
      return client;
    },
  },
  {
    name: 'websocket-heartbeat-miniprogram',
    answer: 'heartbeat',
    async start({ url, hello, book }) {
      const client = await unwrap(heartbeatMiniprogram)({
        miniprogram,
        connectSocketParams: { url },
        pingTimeout: PING_MS,
        pongTimeout: 10_000,
        reconnectTimeout: RETRY_MS,
      });
      client.onOpen = () => {
        book.opened();
        client.send({ data: hello });
      };
      client.onMessage = (event) => book.received(event.data);
      return { send: (data) => client.send({ data }), close: () => client.close({}) };
    },
  },
  {
    name: 'reconnecting-websocket',
    async start({ url, hello, book }) {
      const Reconnecting = unwrap(ReconnectingWebSocket);
      const client = new Reconnecting(url, [], { WebSocket, minReconnectionDelay: RETRY_MS, maxReconnectionDelay: 10 * RETRY_MS });
      client.addEventListener('open', () => {
        book.opened();
        client.send(hello);
      });
      client.addEventListener('message', (event) => book.received(event.data));
      return client;
    },
  },
  snippet('a snippet that sends `ping` every moment', 'pong', (socket) => {
    const timer = setInterval(() => socket.send('ping'), PING_MS);
    socket.addEventListener('close', () => clearInterval(timer));
  }),
  snippet('a snippet with a JSON heartbeat', '{"msgType":"heartBeat_ack","code":"200","success":true}', (socket) => {
    const beat = () => socket.send(JSON.stringify({ type: 'heartBeat', msg: 'are you there?' }));
    let timer = setTimeout(beat, PING_MS);
    socket.addEventListener('message', () => {
      clearTimeout(timer);
      timer = setTimeout(beat, PING_MS);
    });
    socket.addEventListener('close', () => clearTimeout(timer));
  }),
  snippet('a snippet with `{"type":"ping"}` that hangs up without an answer', '{"type":"pong"}', (socket) => {
    let answered = true;
    const timer = setInterval(() => {
      if (!answered) return socket.terminate();
      answered = false;
      socket.send('{"type":"ping"}');
    }, 40 * PING_MS);
    // The first one at once.
    socket.send('{"type":"ping"}');
    socket.addEventListener('message', () => {
      answered = true;
    });
    socket.addEventListener('close', () => clearInterval(timer));
  }),
];

/** A client of thirty lines: connects, beats, and connects anew when the socket closes. */
function snippet(name: string, answer: string, beat: (socket: WebSocket) => void): Kind {
  return {
    name,
    answer,
    async start({ url, hello, book }) {
      let socket: WebSocket;
      let wanted = true;
      function connect(): void {
        socket = new WebSocket(url);
        socket.addEventListener('open', () => {
          book.opened();
          socket.send(hello);
          beat(socket);
        });
        socket.addEventListener('message', (event) => book.received(event.data));
        socket.addEventListener('error', () => {});
        socket.addEventListener('close', () => wanted && setTimeout(connect, RETRY_MS));
      }
      connect();
      return {
        send: (text) => socket.send(text),
        close() {
          wanted = false;
          socket.close();
        },
      };
    },
  };
}
