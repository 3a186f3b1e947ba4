/** A timer by the wall clock: timers freeze in the background, and on return it can be seen at once what is overdue. */

import type { Host } from '../host.js';
import { noop } from '../hosts/noop.js';

/** One timer. */
export interface Alarm {
  /** Fires once after `delayMs`, in place of what was planned before. */
  set(delayMs: number, fire: () => void): void;
  stop(): void;
  /** Fires now if it is due; true where nothing is planned. */
  look(): boolean;
}

/** Nothing is planned yet. */
export function alarmOn(host: Host): Alarm {
  let cancel = noop;
  let due = Infinity;
  let overdue = noop;

  function stop(): void {
    cancel();
    due = Infinity;
  }
  function set(delayMs: number, fire: () => void): void {
    cancel();
    due = host.now() + delayMs;
    overdue = fire;
    cancel = host.setTimer(delayMs, look);
  }
  function look(): boolean {
    const restMs = due - host.now();
    if (due === Infinity) return true;
    if (restMs > 0) set(restMs, overdue);
    else {
      stop();
      overdue();
    }
    return false;
  }
  return { set, stop, look };
}
