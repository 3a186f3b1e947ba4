/** A subscription that rests while nobody sees what it is for, and misses nothing. */

import type { App } from './app.js';
import { noop } from './hosts/noop.js';
import { assign } from './assign.js';
import { forwarding } from './forwarding.js';
import type { Subscription, SubscriptionHandlers } from './options.js';
import type { Tautline } from './tautline.js';
import type { Cursor, ReadFrom } from './types.js';

/** What follows the life of a page or a component. */
export interface Part {
  show(): void;
  hide(): void;
  end(): void;
}

/** Subscribes at once, and whether it is seen or not. */
export function whileLoaded(line: Tautline<App>, channel: string, handlers: SubscriptionHandlers): Part {
  const { unsubscribe } = line.subscribe(channel, handlers);
  return { show: noop, hide: noop, end: unsubscribe };
}

/** Leaves the channel on hide, and reads on from there on show. */
export function whileShown(
  line: Tautline<App>,
  channel: string,
  handlers: SubscriptionHandlers,
  shown: boolean,
): Part {
  let from: ReadFrom | undefined;
  let user: number | undefined;
  let subscription: Subscription | undefined;
  let ended: boolean | undefined;

  function noting<T>(
    cursorOf: (value: T) => Cursor,
    handler: ((value: T) => unknown) | undefined,
  ): (value: T) => unknown {
    return (value) => {
      from = cursorOf(value);
      return handler && handler.call(handlers, value);
    };
  }
  const noted = assign(
    forwarding(() => handlers),
    {
      onSubscribed: noting(
        (where: { channel: string; cursor: Cursor; recovering: number }) => where.cursor,
        handlers.onSubscribed,
      ),
      onPublication: noting(({ epoch, offset, at }) => ({ epoch, offset, at }), handlers.onPublication),
      onGap: noting(({ cursor }) => cursor, handlers.onGap),
    } as SubscriptionHandlers,
  );

  function show(): void {
    if (subscription || ended) return;
    // Where another user has come is nobody else's place.
    if (user !== line.logins_) from = handlers.from;
    user = line.logins_;
    noted.from = from;
    subscription = line.subscribe(channel, noted);
  }
  function hide(): void {
    if (subscription) subscription.unsubscribe();
    subscription = undefined;
  }
  if (shown) show();
  return {
    show,
    hide,
    end() {
      ended = true;
      hide();
    },
  };
}
