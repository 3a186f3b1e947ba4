/**
 * The line: drives a `Session` over a host, and speaks with the app in handlers and promises.
 *
 * It decides nothing. Whatever happens becomes an input, every output is done at once, and one timer is kept. Its private
 * parts are variables of one function rather than fields: they are as private as can be, and smaller when minified.
 */

import { checkOptions } from './checking.js';
import { TautlineError } from './error.js';
import type { Host, Socket } from './host.js';
import { wordsOf } from './hosts/causes.js';
import { entropy, now, setTimer } from './hosts/clock.js';
import { nothing } from './hosts/nothing.js';
import { merged } from './merged.js';
import type { Format } from './msgpack.js';
import type { AnyMethod, App, DataOf, EventOf, MethodOf, ResultOf } from './app.js';
import type {
  HistoryOptions,
  HistoryPage,
  LineEvents,
  Presence,
  Published,
  RequestOptions,
  Subscription,
  SubscriptionHandlers,
  TautlineOptions,
} from './options.js';
import { Session } from './session.js';
import type { Auth, Input, Output, RequestInput, RequestVerb, StateName } from './vocabulary.js';

/** One line to a gateway. It comes back by itself until it is closed. */
export interface Tautline<A extends App = App> {
  /** What the line is doing. */
  readonly state: StateName;
  /** Listens to what happens to the line. The result takes the handler off again. */
  on<E extends keyof LineEvents>(event: E, handler: (value: LineEvents[E]) => void): () => void;
  /** Connects; the first subscription or request does so too. Also: tries again at once, and the way out of `stopped`. */
  connect(): void;
  /** Ends the session for good. Whatever was not settled is rejected with `closed`. */
  close(): void;
  /** The app came to the foreground. Only needed where the host does not tell, as in plugins. */
  notifyShow(): void;
  /** The app went to the background. Only needed where the host does not tell, as in plugins. */
  notifyHide(): void;
  /** Subscribes to a channel, now and on every later connection. Several handlers of one channel share one subscription. */
  subscribe<C extends string>(channel: C, handlers: SubscriptionHandlers<EventOf<A, C>>): Subscription;
  /** Appends to a channel. Executed at most once, however many connections it takes. */
  publish<C extends string>(channel: C, data: EventOf<A, C>, options?: RequestOptions): Promise<Published>;
  /** Asks a method of the back end. Executed at most once, however many connections it takes. */
  call<M extends MethodOf<A>>(method: M, ...how: CallArguments<DataOf<A, M>>): Promise<ResultOf<A, M>>;
  call<T = unknown>(method: AnyMethod<A>, data?: unknown, options?: RequestOptions): Promise<T>;
  /** Reads a page of a channel's log: the newest one, or the one `after` or `before` a cursor. */
  history(channel: string, options?: HistoryOptions): Promise<HistoryPage>;
  /** Who is subscribed? The first 1,000. */
  presence(channel: string, options?: RequestOptions): Promise<Presence>;
  /**
   * Does `act` now, and what it asked for a moment later: some hosts drop what is said while a page unloads.
   * @internal
   */
  later_(act: () => void): void;
}

/** Without data where the method takes none. */
export type CallArguments<D> = undefined extends D ? [data?: D, options?: RequestOptions] : [data: D, options?: RequestOptions];

/** What an entry exports as `Tautline`. */
export interface TautlineConstructor {
  /**
   * Where no WebSocket can be found and no host is given, as on a server, the line fails with `no_host` when it is used.
   *
   * @throws TautlineError `bad_option`
   */
  new <A extends App = App>(options: TautlineOptions): Tautline<A>;
}

/** An output about one channel. */
type ChannelOutput = Extract<Output, { channel: string }>;

type Handler = (value: unknown) => void;

/** As json, bytes would be an empty object, or one of many numbers, and nobody the wiser. */
function withoutBytes(this: any, key: string, value: unknown): unknown {
  // Node's own bytes have turned themselves into something else already.
  const it = this[key];
  if (it && (it.buffer || it) instanceof ArrayBuffer) throw new TautlineError({ code: 'no_format', message: 'bytes need a `format`' });
  return value;
}

function remove<T>(list: T[], item: T): void {
  const at = list.indexOf(item);
  if (at >= 0) list.splice(at, 1);
}

/** Makes the constructor of one entry, which decides where a line looks for its host: `detect` is asked when one is made. */
export function lineOn(detect: () => Host | undefined): TautlineConstructor {
  return function (this: Tautline, options: TautlineOptions): void {
    checkOptions(options || {});
    begin(this, options, options.host || detect());
  } as unknown as TautlineConstructor;
}

function begin(line: { -readonly [K in keyof Tautline]: Tautline[K] }, options: TautlineOptions, found: Host | undefined): void {
  const format = options.format || ({} as Partial<Format>);
  // On a server that renders pages, for one, a line can be made, and nothing else.
  const here = found || ({ now, setTimer, watch: () => nothing } as unknown as Host);
  const host = format.over_ ? format.over_(here) : here;
  const session = new Session(
    merged(
      {
        instance: entropy(),
        client: { sdk: 'tautline-js/0.1.0', platform: host.platform },
        slots: host.slots,
        background: host.background,
        read_: format.read_,
      },
      options,
    ),
    Math.random() * 4294967296,
  );
  const listeners: { [event: string]: Handler[] } = {};
  const subscriptions: { [channel: string]: SubscriptionHandlers[] } = Object.create(null);
  /** What settles each request: with what came, or with an error. */
  const waiters: { [request: number]: [(ok: unknown) => void, (error: TautlineError) => void] } = {};
  const sockets: { [socket: number]: Socket | undefined } = {};
  const inputs: Input[] = [];
  let requests = 0;
  let draining: boolean | undefined;
  let wall = host.now();
  let mono = 0;
  let cancelTimer = nothing;

  /** One input, then everything that follows from it. What handlers feed meanwhile waits its turn. */
  function feed(input: Input): void {
    if (!found) throw new TautlineError({ code: 'no_host', message: 'no WebSocket here: pass a `host`' });
    inputs.push(input);
    if (!draining) drain();
  }
  function drain(): void {
    const trace = options.trace || nothing;
    let next: Input | undefined;
    let output: Output | undefined;
    draining = true;
    while ((next = inputs.shift())) {
      const now = host.now();
      // A wall clock that was set back stands still for a moment; mini programs have no other.
      mono += Math.max(0, now - wall);
      wall = now;
      trace(next);
      session.handleInput({ mono_ms: mono, wall_ms: now }, next);
      while ((output = session.pollOutput())) {
        trace(output);
        perform(output);
      }
    }
    draining = false;
    planTimer();
  }

  function planTimer(): void {
    const at = session.pollTimeout();
    cancelTimer();
    cancelTimer = at === undefined ? nothing : host.setTimer(at - mono, () => feed({ type: 'timeout' }));
  }

  function perform(output: Output): void {
    const socket = sockets[(output as { socket: number }).socket];
    switch (output.type) {
      case 'fetch_auth':
        return fetchAuth(output.renew);
      case 'dial':
        sockets[output.socket] = host.dial(options.url, 'tautline.v1.json', output.socket, feed);
        return;
      case 'send':
        return socket && socket.send(output.text);
      case 'close_socket':
        delete sockets[output.socket];
        return socket && socket.close(1000, '');
      case 'settled': {
        const { request, error } = output;
        const [resolve, reject] = waiters[request]!;
        delete waiters[request];
        return error ? reject(new TautlineError(error)) : resolve(output.ok);
      }
      default:
        if ('channel' in output) return tell(output);
        if (output.type === 'state') line.state = output.state;
        return emit(output.type, output);
    }
  }

  function fetchAuth(renew: boolean): void {
    const { auth } = options;
    new Promise<Auth>((resolve) => resolve(typeof auth === 'function' ? auth({ renew }) : auth || { guest: true })).then(
      (login) => feed({ type: 'auth', auth: login }),
      (error) => feed({ type: 'auth_failed', message: wordsOf(error) }),
    );
  }

  /** Something happened in a channel: tells everybody who subscribed to it here. */
  function tell(output: ChannelOutput): void {
    const { type, channel } = output;
    const list = subscriptions[channel];
    // Where nobody listens nobody has handled it: a user's own channel keeps it for the next device.
    if (!list) return;
    const value = type === 'unsubscribed' ? new TautlineError(output) : output;
    // `publication` is for `onPublication`, and so with all five.
    const name = ('on' + type.charAt(0).toUpperCase() + type.slice(1)) as 'onPublication';
    run(list.map((handlers) => (handlers[name] as Handler | undefined) || nothing), value);
    if (type === 'unsubscribed') delete subscriptions[channel];
    if (type === 'publication') feed({ type: 'handled', channel, epoch: output.epoch, offset: output.offset });
  }

  function emit(event: keyof LineEvents, value: unknown): void {
    run(listeners[event] || [], value);
  }

  /** Calls handlers. A fault in one is the app's: it is told, and the line goes on. */
  function run(handlers: Handler[], value: unknown): void {
    handlers.slice().forEach((handler) => {
      try {
        handler(value);
      } catch (error) {
        const { error: others } = listeners;
        if (others && handlers !== others) run(others, error);
        else {
          host.setTimer(0, () => {
            throw error;
          });
        }
      }
    });
  }

  function request(verb: RequestVerb, body: object, how?: RequestOptions): Promise<any> {
    return new Promise((resolve, reject) => {
      let text: string;
      try {
        text = JSON.stringify(body, format.write_ || withoutBytes);
      } catch (error) {
        // A circle, a BigInt, or a fault of the app's own `toJSON`.
        throw (error as TautlineError).code ? error : new TautlineError({ code: 'bad_data', message: wordsOf(error) });
      }
      if (format.write_) body = JSON.parse(text);
      waiters[++requests] = [resolve, reject];
      const input: RequestInput = { type: 'request', request: requests, verb, body, ttl_ms: how && how.timeout };
      feed(merged(input, how));
    });
  }

  line.state = 'idle';
  line.on = (event, handler) => {
    const list = (listeners[event] = listeners[event] || []);
    list.push(handler as Handler);
    return () => remove(list, handler);
  };
  line.connect = () => feed({ type: 'connect' });
  line.close = () => {
    if (found) feed({ type: 'close' });
    unwatch();
  };
  line.later_ = (act) => {
    draining = true;
    try {
      act();
    } finally {
      host.setTimer(0, drain);
    }
  };
  line.notifyShow = () => feed({ type: 'show' });
  line.notifyHide = () => feed({ type: 'hide' });
  line.subscribe = (channel, handlers) => {
    const list = (subscriptions[channel] = subscriptions[channel] || []);
    let left: boolean | undefined;
    list.push(handlers);
    feed({ type: 'subscribe', channel, from: handlers.from });
    return {
      channel,
      unsubscribe() {
        // Other subscriptions may have the same handlers.
        if (left) return;
        left = true;
        remove(list, handlers);
        if (list.length || subscriptions[channel] !== list) return;
        delete subscriptions[channel];
        feed({ type: 'unsubscribe', channel });
      },
    };
  };
  line.publish = (channel, data, how) => request('publish', { channel, data }, how);
  line.call = (method: string, data?: unknown, how?: RequestOptions) => {
    return request('call', { method, data, timeout_ms: how && how.timeout }, how).then((ok) => ok.data);
  };
  line.history = (channel, how) => request('history', merged({ channel }, how), how);
  line.presence = (channel, how) => request('presence', { channel }, how);
  if (options.storage && found) requests = options.storage(session, feed, host);
  const unwatch = host.watch(feed);
}
