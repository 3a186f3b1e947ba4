/** The part of a mini program's API that a heartbeat package calls, over a real socket. */

import { WebSocket } from 'ws';

type Listener = (event: object) => void;

export const miniprogram = {
  connectSocket({ url }: { url: string }) {
    const socket = new WebSocket(url);
    // Without a listener Node would end the process.
    socket.on('error', () => {});
    return {
      onOpen: (listener: Listener) => socket.on('open', () => listener({})),
      onMessage: (listener: Listener) => socket.on('message', (data) => listener({ data: String(data) })),
      onClose: (listener: Listener) => socket.on('close', (code, reason) => listener({ code, reason: String(reason) })),
      onError: (listener: Listener) => socket.on('error', (error) => listener({ errMsg: error.message })),
      // On a socket that is not open a host calls `fail`, which the package does not give.
      send({ data }: { data: string }) {
        if (socket.readyState === WebSocket.OPEN) socket.send(data);
      },
      close: () => socket.close(),
    };
  },
};
