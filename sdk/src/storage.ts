/**
 * Storage on the device, so that a line outlives an app that was destroyed: `new Tautline({ storage: storage(), … })`.
 *
 * What waits to be sent, and how far each channel was handled, is written to the host's synchronous storage before anybody
 * else can know of it. The decisions are in `persistence.ts`; here are the hosts. A file of its own, so that phones need not load it.
 */

import { detectDevice, type Device } from './storage-backends.js';
import type { Host } from './host.js';
import type { Session } from './session.js';
import { parseStored } from './snapshot.js';
import { persist, type PersistenceInput, type PersistenceOptions } from './persistence.js';
import type { Input, Now, Output, RequestError, RequestVerb } from './types.js';

export { alipayDevice, browserDevice, miniDevice } from './storage-backends.js';
export type { AlipayStorage, Device, MiniStorage } from './storage-backends.js';

/** A request of the app's former self. */
export interface RestoredRequest {
  verb: RequestVerb;
  /** As on the wire: `{ channel, data }` of a publish, `{ method, data }` of a call. */
  body: object;
}

/** What became of it. */
export interface RestoredOutcome extends RestoredRequest {
  /** What its promise would have been resolved with. */
  ok?: unknown;
  /** Or rejected with: `expired`, `in_doubt`, … or the gateway's own. */
  error?: RequestError;
}

/** How a line is stored. */
export interface StorageOptions extends PersistenceOptions {
  /**
   * What it is stored under. Lines that run at the same time need different names (in a browser: one name for each tab, or
   * `browserDevice(sessionStorage)`), and so do users who share a device: whoever finds the text goes on as who wrote it.
   * `line.close()` removes it.
   *
   * @default "line"
   */
  name?: string;
  /** Where it is stored. @default found out: the mini program's storage, else `localStorage` */
  device?: Device;
  /**
   * The app was destroyed with these requests unsettled. They are sent now; `onSettled` tells what becomes of them. With an
   * `error` there was a text that cannot be read, of another version or damaged: what it held is lost, and a new session begins.
   */
  onRestored?(requests: RestoredRequest[], error?: Error): void;
  /** A restored request is settled; once for each. */
  onSettled?(outcome: RestoredOutcome): void;
  /** Storing failed, as the storage is full or forbidden. The line goes on without it. Told once. */
  onFailed?(error: unknown): void;
}

/** The value of a line's option `storage`. Gives the highest number of a request that is taken already. */
export type Storage = (session: Session, feed: (input: never) => void, host: Host) => number;

/** Storage for a line. */
export function storage(options: StorageOptions = {}): Storage {
  const key = 'tautline:' + (options.name || 'line');
  return (session, feed, host) => {
    const restored: { [request: number]: RestoredRequest | undefined } = {};
    let highest = 0;

    /** Tells the app, when it has the line in hand. */
    function tell<T>(handler: ((value: T) => void) | undefined, value: T): void {
      if (handler) host.setTimer(0, () => handler(value));
    }

    let device: Device;
    let text: unknown;
    try {
      device = options.device || detectDevice();
      text = device.get(key);
    } catch (error) {
      tell(options.onFailed, error);
      return highest;
    }
    const { pollOutput } = session;
    const { handleInput, pollStore_ } = persist(session, options);
    let now: Now;
    let kept: boolean | undefined;

    function write(): void {
      const store = pollStore_();
      if (store === undefined) return;
      try {
        if (store) device.set(key, store);
        else device.remove(key);
        // Some hosts return, and have stored nothing.
        if (store && !kept && device.get(key) !== store)
          throw new Error('the device does not give back what it was given');
        kept = true;
      } catch (error) {
        // What cannot even be removed stays.
        if (!store) return;
        tell(options.onFailed, error);
        handleInput(now, { type: 'store_failed' });
        write();
      }
    }

    /** Nobody waits for a restored request but `onSettled`. */
    function isForOthers(output: Output): boolean {
      if (output.type !== 'settled') return true;
      const { request, ok, error } = output;
      const was = restored[request];
      if (!was) return true;
      delete restored[request];
      tell(options.onSettled, { verb: was.verb, body: was.body, ok, error: error! });
      return false;
    }

    session.handleInput = (moment, input: Input | PersistenceInput) => {
      now = moment;
      handleInput(now, input);
      session.output_.outputs_ = session.output_.outputs_.filter(isForOthers);
    };

    // Before anything that the inputs have led to is done.
    session.pollOutput = () => {
      write();
      return pollOutput.call(session);
    };

    const stored = parseStored(text);
    const { requests = [] } = stored || {};
    const { graft_ } = session.options_;
    requests.forEach((it) => {
      if (graft_ && it.json) graft_({ ok: it.body }, '{"ok":' + it.json + '}');
      restored[it.request] = it;
      highest = Math.max(highest, it.request);
    });
    const { onRestored } = options;
    if (highest)
      tell(
        onRestored,
        requests.map(({ verb, body }) => ({ verb, body })),
      );
    else if (text && !stored && onRestored)
      tell((error: Error) => onRestored([], error), new Error('tautline: what was stored cannot be read'));
    feed({ type: 'restore', stored: text } as never);
    return highest;
  };
}
