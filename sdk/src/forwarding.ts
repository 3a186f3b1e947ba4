/**
 * Handlers that stay, over handlers that change: frameworks make new ones at each render. Also a copy to put handlers of one's
 * own into, which copies of the properties are not: those of a class belong to its prototype, and want their own `this`.
 */

import type { SubscriptionHandlers } from './options.js';

/** Passes everything on to whatever `newest` gives at that moment. */
export function forwarding<T>(latest: () => SubscriptionHandlers<T>): SubscriptionHandlers<T> {
  const handlers: { [name: string]: unknown } = { from: latest().from };
  ['onPublication', 'onGap', 'onSubscribed', 'onPresence', 'onUnsubscribed'].forEach((name) => {
    handlers[name] = (value: unknown) => {
      const its = latest() as unknown as { [name: string]: ((value: unknown) => unknown) | undefined };
      return its[name] && its[name]!(value);
    };
  });
  return handlers;
}
