/**
 * Calls the handlers of a listener one after the other: while one of them has given a promise that is not settled, the next
 * calls wait in the listener's queue, so that order holds.
 */

import { TautlineError } from './error.js';
import type { SubscriptionHandlers } from './options.js';
import type { Cursor, ReadFrom } from './types.js';

/** The handlers that there are, and one that there never is: for publications that count as handled and reach nobody. */
export type HandlerName = 'onPublication' | 'onGap' | 'onSubscribed' | 'onPresence' | 'onUnsubscribed' | '';

/** Told of a call: whether the handler did its work; nothing where the call was not made, or not waited for. */
export type OnHandled = (worked?: boolean) => void;

/** One handler, or several that came as one. */
export interface Listener {
  handlers_: SubscriptionHandlers;
  channel_: string;
  /** Where it begins. */
  from_: ReadFrom | undefined;
  /** The session is told of it, when its turn comes. */
  asked_?: boolean;
  /** The session was told of it. What came before that belongs to others. */
  joined_?: boolean;
  /** The last publication that was handed to it; none before it was confirmed. */
  position_?: Cursor | undefined;
  /** The connection on which it was last told that it is confirmed. */
  toldOn_?: number | undefined;
  /** Calls that wait. */
  queue_: [HandlerName, unknown, OnHandled | undefined][];
  /** A handler is at work. */
  busy_?: boolean;
  /** Waits no longer for the promise of a handler that is at work. */
  release_?: OnHandled | undefined;
  /** Its queue was full: it has not been handed what follows its place. */
  behind_?: boolean | undefined;
  /** The app has ended it: it hears nothing more, whatever is under way. */
  ended_?: boolean;
  /** It has left its channel, which the session was not told yet. */
  leaves_?: boolean;
}

/** Runs `act`; what that throws is told to the app. */
export type Attempt = <T>(act: (value: T) => void, value: T) => void;

/**
 * Gives the function that calls a handler of a listener, in its turn. A promise is waited for at most `timeoutMs`; `idle` is
 * called when no more calls wait.
 */
export function handlerQueue(
  attempt: Attempt,
  setTimer: (delayMs: number, fire: () => void) => () => void,
  timeoutMs: number,
  idle: (it: Listener) => void,
): (it: Listener, name: HandlerName, value: unknown, done?: OnHandled) => void {
  function next(it: Listener): void {
    it.busy_ = true;
    while (it.queue_.length) {
      const [name, value, done] = it.queue_.shift()!;
      const promise = call(it, name, value, done);
      if (promise) return wait(it, name, promise, done);
    }
    it.busy_ = false;
    idle(it);
  }

  /** Calls a handler. Gives its promise, where it has given one. */
  function call(
    it: Listener,
    name: HandlerName,
    value: unknown,
    done?: OnHandled,
  ): PromiseLike<unknown> | undefined {
    const handler = it.handlers_[name as 'onGap'];
    let promise: unknown;
    let worked: boolean | undefined;
    if (!it.ended_) {
      worked = !handler;
      attempt((told) => {
        promise = handler && handler.call(it.handlers_, told as never);
        worked = true;
      }, value);
    }
    if (promise && (promise as PromiseLike<unknown>).then) return promise as PromiseLike<unknown>;
    if (done) done(it.handlers_.holds_ ? undefined : worked);
    return undefined;
  }

  function wait(it: Listener, name: HandlerName, promise: PromiseLike<unknown>, done?: OnHandled): void {
    function fail(error: unknown): void {
      if (it.release_ !== release) return;
      attempt(() => {
        throw error;
      }, error);
      release(false);
    }
    function release(worked?: boolean): void {
      if (it.release_ !== release) return;
      it.release_ = undefined;
      stopTimer();
      if (done) done(worked);
      next(it);
    }
    const stopTimer = setTimer(timeoutMs, () => {
      fail(new TautlineError({ code: 'timeout', message: name + ' took longer than `handler_timeout_ms`' }));
    });
    it.release_ = release;
    new Promise((resolve) => resolve(promise)).then(() => release(true), fail);
  }

  return (it, name, value, done) => {
    it.queue_.push([name, value, done]);
    if (!it.busy_) next(it);
  };
}
