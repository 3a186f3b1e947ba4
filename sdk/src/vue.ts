/** Composables for Vue 3 and 2.7, also under uni-app and Taro: `tautline/vue`. Thin: a line is made once, outside of components. */

import { getCurrentInstance, onActivated, onDeactivated, onScopeDispose, ref, watch, type Ref } from 'vue';
import type { App, EventOf } from './app.js';
import type { LineEvents, SubscriptionHandlers } from './options.js';
import { whileLoaded, whileShown, type Part } from './while-shown.js';
import type { Tautline } from './tautline.js';
import type { StateName } from './types.js';

/** What the line is doing. */
export function useLineState(line: Pick<Tautline, 'state' | 'on'>): Ref<StateName> {
  const state = ref(line.state);
  onScopeDispose(line.on('state', (now) => (state.value = now.state)));
  return state;
}

/** Listens to the line until the component is gone. */
export function useLineEvent<E extends keyof LineEvents>(
  line: Pick<Tautline, 'on'>,
  event: E,
  handler: (value: LineEvents[E]) => void,
): void {
  onScopeDispose(line.on(event, handler));
}

/** A hook of a component's: `onShow` of uni-app, `onActivated`. */
export type ComponentHook = (act: () => void) => unknown;

/** How long a component listens. */
export interface ShownOptions {
  /**
   * Until it is gone, or only while it is seen: then its channel is left when it hides and read on from there when it shows, so
   * that nothing is missed.
   *
   * @default "mounted"
   */
  while?: 'mounted' | 'shown';
  /** What tells that it shows and hides: `[onShow, onHide]` of uni-app. @default those of `KeepAlive` */
  hooks?: [show: ComponentHook, hide: ComponentHook];
}

/** Subscribes until the component is gone. A channel in a ref may change; while it is `undefined`, nothing is subscribed. */
export function useSubscription<A extends App, C extends string>(
  line: Tautline<A>,
  channel: C | Ref<C | undefined>,
  handlers: SubscriptionHandlers<EventOf<A, C>>,
  how?: ShownOptions,
): void {
  const rests = how && how.while === 'shown';
  const hooks = (how && how.hooks) || (getCurrentInstance() && [onActivated, onDeactivated]);
  let shown = true;
  let part: Part | undefined;
  function leave(): void {
    if (part) part.end();
    part = undefined;
  }
  function enter(name: C | undefined): void {
    leave();
    if (name !== undefined)
      part = rests ? whileShown(line, name, handlers, shown) : whileLoaded(line, name, handlers);
  }
  if (rests && hooks) {
    (hooks[0] as ComponentHook)(() => {
      shown = true;
      if (part) part.show();
    });
    (hooks[1] as ComponentHook)(() => {
      shown = false;
      if (part) part.hide();
    });
  }
  if (typeof channel === 'string') enter(channel);
  else watch(channel, enter, { immediate: true });
  onScopeDispose(leave);
}
