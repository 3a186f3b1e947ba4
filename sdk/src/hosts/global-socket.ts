/**
 * Hosts whose `connectSocket` returns nothing: JD, and old versions of others. There is one socket for the whole app, and
 * its events come through the global object. This makes it look like a SocketTask of its own for each dial.
 *
 * All lines of an app share one set of listeners, and one owner of the socket. No event says whose it is: those that come
 * while nobody owns the socket are of a socket that the app has opened for itself.
 */

import type { MiniApi, MiniTask } from './mini-api.js';
import { sharedOf } from './shared.js';

type Listener = (event: unknown) => void;
interface Api {
  [name: string]: Listener | undefined;
}
/** It listens under the names of the events. */
interface Task {
  [event: string]: Listener;
}
interface Owner {
  task_: Task;
  opened_?: boolean;
  closing_?: boolean;
}

/** The one socket. Its names are plain ones: the files of a package, of different versions perhaps, share it. */
export interface GlobalSocket {
  /** A line has it, and has not given it up. */
  busy(): boolean | undefined;
  /** The task of the dial that was made just now. */
  task(): MiniTask;
}

/** The one socket of `host`. */
export function globalSocket(host: MiniApi): GlobalSocket {
  return sharedOf(host, 'tautlineSocket', () => {
    const api = host as unknown as Api;
    const events = ['Open', 'Message', 'Error', 'Close'];
    let owner: Owner | undefined;
    /** The owner before, which was given up before its close came. */
    let before: Owner | undefined;
    let listening: boolean | undefined;

    const heads = events.map((event) => (value: unknown) => {
      const isOpen = event === 'Open';
      // While nothing has opened, an end can only be that of the socket before.
      const late = before && !isOpen && !(owner && owner.opened_);
      const its = late ? before : owner;
      // A second open is a stranger's.
      if (!its || (isOpen && its.opened_)) return;
      if (isOpen) its.opened_ = true;
      if (event === 'Close') {
        if (late) before = undefined;
        else owner = undefined;
      }
      const listener = its.task_[event];
      if (listener) listener(value);
    });

    return {
      busy: () => owner && !owner.closing_,
      task() {
        const task: Task = {
          send: (options) => api.sendSocketMessage!(options),
          close(options) {
            // Else it is nobody's, or another's by now.
            if (owner !== its) return;
            its.closing_ = true;
            api.closeSocket!(options);
          },
          // The dial has failed: there is nothing to close.
          over() {
            owner = undefined;
          },
        };
        const its: Owner = { task_: task };
        before = owner && owner.opened_ ? owner : undefined;
        owner = its;
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
      },
    };
  });
}
