/**
 * A channel beside a state that the app loads from its own back end, such as a list of orders: takes the position in the
 * channel, loads the state, and goes on from there. What is published meanwhile waits in the log of the gateway.
 *
 * Two subscriptions make one: the first holds the channel and knows the position, the second reads on from where the loaded
 * state has got to.
 */

import { setTimer } from './hosts/clock.js';
import { noop } from './hosts/noop.js';
import type { Subscription, SubscriptionHandlers } from './options.js';
import type { Tautline } from './tautline.js';
import type { Cursor } from './types.js';

/** Waits before the state is loaded again: the first, and the longest, in milliseconds. */
const RETRY_BASE_MS = 1000;
const RETRY_MAX_MS = 30000;

/** A state, and how far it has got. */
export interface LoadedState<S> {
  state: S;
  /**
   * Of the last publication that the state contains, as `publish` gave it to the back end, which keeps it with the state:
   * then each change is handed over exactly once. Without it, what was published while the state was being loaded may be in
   * the state and come as a publication, too.
   */
  cursor?: Cursor | null | undefined;
}

/** What an app wants to hear of a channel and its state. */
export interface StateHandlers<S, T = unknown> extends Pick<
  SubscriptionHandlers<T>,
  'onPublication' | 'onSubscribed' | 'onPresence' | 'onUnsubscribed'
> {
  /**
   * Loads the state, which must be at least as new as `position` unless it says its `cursor`. Asked again after a gap, and,
   * after a while, where it fails.
   */
  getState(position: Cursor): LoadedState<S> | PromiseLike<LoadedState<S>>;
  /** The state. What follows it comes afterwards. Again after a gap: put it in place of the last one. */
  onState(state: S): unknown;
  /** `getState` has failed, and will be asked again. */
  onStateError?(error: unknown): unknown;
}

/** Subscribes to a channel and loads the state beside it. `line` may be that of a page. */
export function subscribeWithState<S, T = unknown>(
  line: Pick<Tautline, 'subscribe'>,
  channel: string,
  handlers: StateHandlers<S, T>,
): Subscription {
  /** The number of the load that counts. */
  let load = 0;
  /** Loads that have failed, and gaps, since the last publication. */
  let failures = 0;
  let stopTimer = noop;
  let reader: Subscription | undefined;

  function begin(position: Cursor, isGap?: boolean): void {
    stop();
    const mine = ++load;
    // The first time, and once more, at once.
    const ceilingMs = failures > 1 ? Math.min(RETRY_MAX_MS, RETRY_BASE_MS * Math.pow(2, failures - 2)) : 0;
    failures++;
    if (!ceilingMs) return attempt();
    stopTimer = setTimer((ceilingMs * (1 + Math.random())) / 2, attempt);

    function attempt(): void {
      new Promise<LoadedState<S>>((resolve) => resolve(handlers.getState(position)))
        // Nothing at all is no state: it throws here, and so is asked for again.
        .then(({ state, cursor }): [S, Cursor] => {
          // Behind a gap there is nothing to go back to, and another log's place is none in this one.
          const counts =
            cursor && cursor.epoch === position.epoch && (!isGap || cursor.offset >= position.offset);
          return [state, counts ? cursor : position];
        })
        .then(
          ([state, from]) => {
            if (mine === load) read(state, from);
          },
          (error) => {
            if (mine !== load) return;
            begin(position, isGap);
            if (handlers.onStateError) handlers.onStateError(error);
          },
        );
    }
  }

  function read(state: S, from: Cursor): void {
    let told: boolean | undefined;
    reader = line.subscribe(channel, {
      from,
      onSubscribed() {
        if (told) return undefined;
        told = true;
        return handlers.onState(state);
      },
      onPublication(publication) {
        failures = 0;
        return handlers.onPublication && handlers.onPublication(publication as never);
      },
      onGap: ({ cursor }) => begin(cursor, true),
    });
  }

  function stop(): void {
    load++;
    stopTimer();
    if (reader) reader.unsubscribe();
    reader = undefined;
  }

  const holder = line.subscribe(channel, {
    holds_: true,
    onSubscribed(where) {
      if (!load) begin(where.cursor);
      return handlers.onSubscribed && handlers.onSubscribed(where);
    },
    onPresence: (change) => handlers.onPresence && handlers.onPresence(change),
    onUnsubscribed(error) {
      stop();
      return handlers.onUnsubscribed && handlers.onUnsubscribed(error);
    },
  });
  return {
    channel,
    unsubscribe() {
      stop();
      holder.unsubscribe();
    },
  };
}
