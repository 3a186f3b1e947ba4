/** Composables for Vue 3, also under uni-app and Taro: `tautline/vue`. Thin: a line is made once, outside of components. */

import { onScopeDispose, ref, watch, type Ref } from 'vue';
import type { App, EventOf } from './app.js';
import type { LineEvents, Subscription, SubscriptionHandlers } from './options.js';
import type { Tautline } from './tautline.js';
import type { StateName } from './vocabulary.js';

/** What the line is doing. */
export function useLineState(line: Pick<Tautline, 'state' | 'on'>): Ref<StateName> {
  const state = ref(line.state);
  onScopeDispose(line.on('state', (now) => (state.value = now.state)));
  return state;
}

/** Listens to the line until the component is gone. */
export function useLineEvent<E extends keyof LineEvents>(line: Pick<Tautline, 'on'>, event: E, handler: (value: LineEvents[E]) => void): void {
  onScopeDispose(line.on(event, handler));
}

/** Subscribes until the component is gone. A channel in a ref may change; while it is `undefined`, nothing is subscribed. */
export function useSubscription<A extends App, C extends string>(
  line: Tautline<A>,
  channel: C | Ref<C | undefined>,
  handlers: SubscriptionHandlers<EventOf<A, C>>,
): void {
  let subscription: Subscription | undefined;
  function leave(): void {
    if (subscription) subscription.unsubscribe();
    subscription = undefined;
  }
  function enter(name: C | undefined): void {
    leave();
    if (name !== undefined) subscription = line.subscribe(name, handlers);
  }
  if (typeof channel === 'string') enter(channel);
  else watch(channel, enter, { immediate: true });
  onScopeDispose(leave);
}
