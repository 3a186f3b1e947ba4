/**
 * Ties subscriptions and handlers to the life of a page of a mini program, so that none outlives it: `tautline/page`.
 *
 * `page(line, this)` in `onLoad`, or `withLine(line, { … })` round the page's definition, which works on every host. A page
 * that another one covers hides and does not unload, and so does one that shows a web page: it goes on hearing, unless it
 * asks for `while: 'shown'`. Then its channel is left on hide and read on show from where it was, so that nothing is missed.
 */

import type { App, EventOf } from './app.js';
import { assign } from './assign.js';
import { noop } from './hosts/noop.js';
import type { InboxHandlers, LineEvents, Subscription, SubscriptionHandlers } from './options.js';
import { whileLoaded, whileShown, type Part } from './while-shown.js';
import type { Tautline } from './tautline.js';

/** How long a page listens. */
export interface PageOptions {
  /** Until it unloads, or only while it is seen. @default "loaded" */
  while?: 'loaded' | 'shown';
}

/** What a page does with a line. */
export interface PageLine<A extends App = App> {
  /** As the line's own, until the page unloads. */
  subscribe<C extends string>(
    channel: C,
    handlers: SubscriptionHandlers<EventOf<A, C>>,
    how?: PageOptions,
  ): Subscription;
  /** As the line's own, until the page unloads. */
  inbox(handlers: InboxHandlers<EventOf<A, 'user:'>>): Pick<Subscription, 'unsubscribe'>;
  /** As the line's own, until the page unloads. */
  on<E extends keyof LineEvents>(event: E, handler: (value: LineEvents[E]) => void): () => void;
  /** For pages whose life cycle cannot be seen from here, as components: call these from theirs. */
  show(): void;
  hide(): void;
  unload(): void;
}

/** What a page has besides its definition: `setData` is every host's own. */
export interface PageMembers<A extends App = App> {
  line: PageLine<A>;
  setData(data: object, callback?: () => void): void;
}

/** Ends `it`, and does `own`: what they ask of the line leaves a moment later, since some hosts drop what is said here. */
function leaving<T>(line: Tautline<App>, own: () => T): T | undefined {
  let result: T | undefined;
  line.later_(() => {
    result = own();
  });
  return result;
}

type Hook = ((this: unknown, ...args: unknown[]) => unknown) | undefined;
type Instance = { [hook: string]: unknown };

/** `instance` is the page itself, `this` in its `onLoad`; its `onShow`, `onHide` and `onUnload` are wrapped. */
export function page<A extends App>(line: Tautline<A>, instance?: object): PageLine<A> {
  let parts: Part[] = [];
  let shown = true;
  let gone: boolean | undefined;

  function add(part: Part): () => void {
    parts.push(part);
    return () => {
      parts = parts.filter((other) => other !== part);
      part.end();
    };
  }
  /** What is begun lasts until the page unloads; nothing is begun then. */
  function addEnd(begin: () => () => void): () => void {
    return gone ? noop : add({ show: noop, hide: noop, end: begin() });
  }
  function each(act: 'show' | 'hide' | 'end'): void {
    parts.forEach((part) => part[act]());
  }

  const it: PageLine<A> = {
    subscribe(channel, handlers, how) {
      // The user may have left while the page waited for something.
      if (gone) return { channel, unsubscribe: noop };
      const part =
        how && how.while === 'shown'
          ? whileShown(line, channel, handlers, shown)
          : whileLoaded(line, channel, handlers);
      return { channel, unsubscribe: add(part) };
    },
    inbox(handlers) {
      return { unsubscribe: addEnd(() => line.inbox(handlers).unsubscribe) };
    },
    on(event, handler) {
      return addEnd(() => line.on(event, handler));
    },
    show() {
      shown = true;
      each('show');
    },
    hide() {
      shown = false;
      each('hide');
    },
    unload() {
      gone = true;
      line.later_(() => each('end'));
      parts = [];
    },
  };
  if (instance) {
    after(instance as Instance, 'onShow', it.show);
    after(instance as Instance, 'onHide', it.hide);
    after(instance as Instance, 'onUnload', it.unload, line);
  }
  return it;
}

/** Wraps a page's definition: `Page(withLine(line, { onLoad() { this.line.subscribe(…) } }))`. */
export function withLine<A extends App, D extends object>(
  line: Tautline<A> | (() => Tautline<A>),
  definition: D & ThisType<D & PageMembers<A>>,
): D {
  const wrapped = assign({}, definition) as D & Instance;
  const { onLoad } = wrapped as { onLoad?: Hook };
  let its: Tautline<A> | undefined;
  (wrapped as Instance)['onLoad'] = function (this: { line: PageLine<A> }) {
    // Not before there is a page: the app makes the line, and definitions are read before it runs.
    its = typeof line === 'function' ? line() : line;
    this.line = page(its);
    return onLoad && onLoad.apply(this, arguments as unknown as unknown[]);
  };
  (['show', 'hide', 'unload'] as const).forEach((name) => {
    const hook = 'on' + name.charAt(0).toUpperCase() + name.slice(1);
    const own = (wrapped as Instance)[hook] as Hook;
    (wrapped as Instance)[hook] = function (this: { line?: PageLine<A> }) {
      const args = arguments as unknown as unknown[];
      const act = (): unknown => {
        if (this.line) this.line[name]();
        return own && own.apply(this, args);
      };
      return its && name === 'unload' ? leaving(its, act) : act();
    };
  });
  return wrapped;
}

function after(instance: Instance, name: string, act: () => void, leaves?: Tautline<App>): void {
  const own = instance[name] as Hook;
  instance[name] = function (this: unknown) {
    const args = arguments as unknown as unknown[];
    const both = (): unknown => {
      act();
      return own && own.apply(this, args);
    };
    return leaves ? leaving(leaves, both) : both();
  };
}
