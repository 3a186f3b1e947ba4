/** Hooks for React, also under Taro: `tautline/react`. Thin: a line is made once, outside of components. */

import { useEffect, useRef, useState } from 'react';
import type { App, EventOf } from './app.js';
import type { LineEvents, SubscriptionHandlers } from './options.js';
import type { Tautline } from './tautline.js';
import type { StateName } from './vocabulary.js';
import { forwarding } from './forwarding.js';

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
export function useLineEvent<E extends keyof LineEvents>(line: Pick<Tautline, 'on'>, event: E, handler: (value: LineEvents[E]) => void): void {
  const newest = useRef(handler);
  newest.current = handler;
  useEffect(() => line.on(event, (value) => newest.current(value)), [line, event]);
}

/** Subscribes while the component is mounted; without a channel, to nothing. The handlers may be new at each render. */
export function useSubscription<A extends App, C extends string>(
  line: Tautline<A>,
  channel: C | undefined,
  handlers: SubscriptionHandlers<EventOf<A, C>>,
): void {
  const newest = useRef(handlers);
  newest.current = handlers;
  useEffect(() => {
    if (channel === undefined) return undefined;
    return line.subscribe(channel, forwarding(() => newest.current)).unsubscribe;
  }, [line, channel]);
}
