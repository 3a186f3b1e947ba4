/**
 * Hosts whose `connectSocket` returns nothing: JD, and old versions of others. There is one socket for the whole app, and
 * its events come through the global object. This makes it look like a SocketTask of its own for each dial.
 */

import type { Callbacks, MiniApi, MiniTask } from './mini-api.js';

type Listener = (event: unknown) => void;
interface Api {
  [name: string]: ((argument: unknown) => void) | undefined;
}

/** Gives a maker of tasks over the one socket of `host`. */
export function globalSocket(host: MiniApi): () => MiniTask {
  const api = host as unknown as Api;
  const events = ['Open', 'Message', 'Error', 'Close'];
  /** What the newest task, and the one before it, listen with; the latter until its close has come. */
  let newest: { [event: string]: Listener };
  let before: { [event: string]: Listener } | undefined;
  let opened: boolean | undefined;

  const heads = events.map((event) => (value: unknown) => {
    if (event === 'Open') opened = true;
    // No event says whose it is. While nothing has opened, an end can only be that of the socket before.
    const late = !opened && before;
    const listener = (late || newest)[event];
    if (event === 'Close') {
      if (late) before = undefined;
      else opened = false;
    }
    if (listener) listener(value);
  });
  let listening: boolean | undefined;

  return () => {
    const mine: { [event: string]: Listener } = {};
    before = opened ? newest : undefined;
    opened = false;
    newest = mine;
    events.forEach((event, i) => {
      const off = api['offSocket' + event];
      // Another part of the app may have taken all listeners off, which only hosts with an `off` allow to mend.
      if (off) off.call(api, heads[i]);
      if (off || !listening) api['onSocket' + event]!(heads[i]);
    });
    listening = true;
    const task: { [name: string]: unknown } = {
      send: (options: unknown) => api.sendSocketMessage!(options),
      close(options: Callbacks) {
        // The one socket is another's by now.
        if (newest === mine) api.closeSocket!(options);
      },
    };
    events.forEach((event) => {
      task['on' + event] = (listener: Listener) => {
        mine[event] = listener;
      };
    });
    return task as unknown as MiniTask;
  };
}
