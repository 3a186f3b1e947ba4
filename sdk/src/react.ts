/** Hooks for React, also under Taro: `tautline/react`. Thin: a line is made once, outside of components. */

import { useEffect, useRef, useState } from 'react';
import type { App, EventOf } from './app.js';
import type { LineEvents, SubscriptionHandlers } from './options.js';
import type { Tautline } from './tautline.js';
import type { StateName } from './types.js';
import { forwarding } from './forwarding.js';
import { whileShown, type Part } from './while-shown.js';

/** What the line is doing; renders again when it changes. */
export function useLineState(line: Pick<Tautline, 'state' | 'on'>): StateName {
  const [state, setState] = useState(line.state);
  useEffect(() => {
    // It may have changed between rendering and here.
    setState(line.state);
    return line.on('state', (now) => setState(now.state));
  }, [line]);
  return state;
}

/** Listens to the line while the component is mounted. */
export function useLineEvent<E extends keyof LineEvents>(
  line: Pick<Tautline, 'on'>,
  event: E,
  handler: (value: LineEvents[E]) => void,
): void {
  const newest = useRef(handler);
  newest.current = handler;
  useEffect(() => line.on(event, (value) => newest.current(value)), [line, event]);
}

/** How long a component listens. */
export interface ShownOptions {
  /**
   * While it is mounted, or only while it is seen: then its channel is left when it hides and read on from there when it shows,
   * so that nothing is missed. An `Activity` tells by itself.
   *
   * @default "mounted"
   */
  while?: 'mounted' | 'shown';
  /** It is seen: `useIsFocused()` of React Navigation, or a state that Taro's `useDidShow` and `useDidHide` set. @default true */
  shown?: boolean;
}

/** Subscribes while the component is mounted; without a channel, to nothing. The handlers may be new at each render. */
export function useSubscription<A extends App, C extends string>(
  line: Tautline<A>,
  channel: C | undefined,
  handlers: SubscriptionHandlers<EventOf<A, C>>,
  how?: ShownOptions,
): void {
  const newest = useRef(handlers);
  /** What outlives the effects, which React also ends where it only hides a component. */
  const kept = useRef<[line: unknown, channel: unknown, part: Part] | undefined>(undefined);
  const rests = how && how.while === 'shown';
  const shown = !rests || how!.shown !== false;
  newest.current = handlers;
  useEffect(() => {
    if (channel === undefined || !shown) return undefined;
    if (!rests)
      return line.subscribe(
        channel,
        forwarding(() => newest.current),
      ).unsubscribe;
    const [its, name, before] = kept.current || ([] as unknown as NonNullable<typeof kept.current>);
    let part = before;
    if (its !== line || name !== channel)
      part = whileShown(
        line,
        channel,
        forwarding(() => newest.current),
        false,
      );
    kept.current = [line, channel, part];
    part.show();
    return part.hide;
  }, [line, channel, rests, shown]);
}
