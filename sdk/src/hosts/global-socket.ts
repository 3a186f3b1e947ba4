/**
 * Hosts whose `connectSocket` returns nothing: JD, and old versions of others. There is one socket for the whole app, and
 * its events come through the global object. This makes it look like a SocketTask of its own for each dial.
 */

import type { MiniApi, MiniTask } from './mini-api.js';

type Listener = (event: unknown) => void;
interface Api {
  [name: string]: Listener | undefined;
}
interface Task {
  [name: string]: Listener;
}

/** Gives a maker of tasks over the one socket of `host`. */
export function globalSocket(host: MiniApi): () => MiniTask {
  const api = host as unknown as Api;
  const events = ['Open', 'Message', 'Error', 'Close'];
  /** The newest task, and the one before it until its close has come. */
  let newest: Task;
  let before: Task | undefined;
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
    // It listens under the names of the events.
    const task: Task = {
      send: (options) => api.sendSocketMessage!(options),
      close(options) {
        // The one socket is another's by now.
        if (newest === task) api.closeSocket!(options);
      },
    };
    before = opened ? newest : undefined;
    opened = false;
    newest = task;
    events.forEach((event, i) => {
      const off = api['offSocket' + event];
      // Another part of the app may have taken all listeners off, which only hosts with an `off` allow to mend.
      if (off) off.call(api, heads[i]);
      if (off || !listening) api['onSocket' + event]!(heads[i]);
      task['on' + event] = (listener) => {
        task[event] = listener as Listener;
      };
    });
    listening = true;
    return task as unknown as MiniTask;
  };
}
