/**
 * The line: drives a `Session` over a host, and speaks with the app in handlers and promises.
 *
 * It decides nothing. Whatever happens becomes an input, every output is done at once, and one timer is kept. Its private
 * parts are variables of one function rather than fields: they are as private as can be, and smaller when minified.
 */

import { checkOptions, isUrl } from './check-options.js';
import { TautlineError } from './error.js';
import { codeOf, startOf, boundedText, wholeOf } from './inputs.js';
import type { Fact, Host, Socket } from './host.js';
import { messageOf } from './hosts/causes.js';
import { entropy, now, setTimer } from './hosts/clock.js';
import { noop } from './hosts/noop.js';
import { assign } from './assign.js';
import type { Format } from './msgpack.js';
import type { AnyMethod, App, DataOf, EventOf, MethodOf, ResultOf } from './app.js';
import type {
  HistoryOptions,
  HistoryPage,
  InboxHandlers,
  LineEvents,
  Presence,
  Published,
  PublishOptions,
  RequestOptions,
  Subscription,
  SubscriptionHandlers,
  TautlineOptions,
} from './options.js';
import { USER_CHANGED } from './login.js';
import { Session } from './session.js';
import { createListeners } from './listeners.js';
import type { Auth, Input, Output, RequestVerb, StateName } from './types.js';

/** One line to a gateway. It comes back by itself until it is closed. */
export interface Tautline<A extends App = App> {
  /** What the line is doing. */
  readonly state: StateName;
  /** Listens to what happens to the line. The result takes the handler off again. */
  on<E extends keyof LineEvents>(event: E, handler: (value: LineEvents[E]) => void): () => void;
  /** Connects; the first subscription or request does so too. Also: tries again at once, and the way out of `stopped`. */
  connect(): void;
  /**
   * Another user logs in, or the same one anew. Whatever was not settled is rejected with `user_changed`, all subscriptions end
   * with it, and nothing of the last user is kept; an `inbox` goes over to the next one. A line that is up logs in at once.
   */
  login(auth: NonNullable<TautlineOptions['auth']>): void;
  /** Ends the session for good. Whatever was not settled is rejected with `closed`. */
  close(): void;
  /** The app came to the foreground. Only needed where the host does not tell, as in plugins. */
  notifyShow(): void;
  /** The app went to the background. Only needed where the host does not tell, as in plugins. */
  notifyHide(): void;
  /** Subscribes to a channel, now and on every later connection. Several handlers of one channel share one subscription. */
  subscribe<C extends string>(channel: C, handlers: SubscriptionHandlers<EventOf<A, C>>): Subscription;
  /**
   * Listens to the user's own channel (`user:<id>`) for the life of the line, from how far this user's devices have got. May be
   * called before the user is known, and goes over to the next user's channel where another one logs in. Guests have none.
   */
  inbox(handlers: InboxHandlers<EventOf<A, 'user:'>>): Pick<Subscription, 'unsubscribe'>;
  /** Appends to a channel. Executed at most once, however many connections it takes. */
  publish<C extends string>(channel: C, data: EventOf<A, C>, options?: PublishOptions): Promise<Published>;
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
  /**
   * How often another user has logged in.
   * @internal
   */
  readonly logins_: number;
}

/** Without data where the method takes none. */
export type CallArguments<D> = undefined extends D
  ? [data?: D, options?: RequestOptions]
  : [data: D, options?: RequestOptions];

/** What an entry exports as `Tautline`. */
export interface TautlineConstructor {
  /**
   * Where no WebSocket can be found and no host is given, as on a server, the line fails with `no_host` when it is used.
   *
   * @throws TautlineError `bad_option`
   */
  new <A extends App = App>(options: TautlineOptions): Tautline<A>;
}

type Handler = (value: unknown) => void;

/** As json, bytes would be an empty object, or one of many numbers, and nobody the wiser. */
function withoutBytes(this: { [key: string]: unknown }, key: string, value: unknown): unknown {
  // Node's own bytes have turned themselves into something else already.
  const it = this[key] as ArrayBufferView | undefined;
  if (it && (it.buffer || it) instanceof ArrayBuffer)
    throw new TautlineError({ code: 'no_format', message: 'bytes need a `format`' });
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

function begin(
  line: { -readonly [K in keyof Tautline]: Tautline[K] },
  options: TautlineOptions,
  found: Host | undefined,
): void {
  const format = options.format || ({} as Partial<Format>);
  // On a server that renders pages, for one, a line can be made, and nothing else.
  const here = found || ({ now, setTimer, watch: () => noop } as unknown as Host);
  const host = format.over_ ? format.over_(here) : here;
  const session = new Session(
    assign(
      {
        instance: entropy(),
        client: { sdk: 'tautline-js/0.1.0', platform: host.platform },
        slots: host.slots,
        background: host.background,
        read_: format.read_,
        // What the app's parser throws is told, and what JSON.parse has made stays.
        graft_:
          format.graft_ &&
          ((packet: object, line: string) => attempt((it) => format.graft_!(it, line), packet)),
      },
      options,
    ),
    Math.random() * 4294967296,
  );
  const eventHandlers: { [event: string]: Handler[] } = {};
  const channels = createListeners(
    feed,
    attempt,
    session,
    (delayMs, fire) => host.setTimer(delayMs, fire),
    (output) => run(eventHandlers['subscription'] || [], output),
    options,
  );
  /** What settles each request: with what came, or with an error. */
  const waiters: { [request: number]: [(ok: unknown) => void, (error: TautlineError) => void] } = {};
  const sockets: { [socket: number]: Socket | undefined } = {};
  const inputs: [input: Input, taken?: (() => void) | undefined][] = [];
  let requests = 0;
  /** How often the app was asked for a login, or has given another user's. */
  let fetches = 0;
  let draining: boolean | undefined;
  /** A request was taken just now: those that follow at once are taken together, a moment later. */
  let gathering: boolean | undefined;
  /** The app has closed the line: what is still under way is nobody's any more. */
  let closed: boolean | undefined;
  let auth = options.auth;
  /** Whose session it was when another user logged in: as long as it is, what it puts out is nobody's. */
  let last: Session['identity_'] | undefined;
  let wall = 0;
  let mono = 0;
  let cancelTimer = noop;

  /** The host's clock. What is no time stands still, as a clock does that was set back; mini programs have no other. */
  function clock(): number {
    return wholeOf(host.now(), wall);
  }

  /** One input, then everything that follows from it. What handlers feed meanwhile waits its turn; then `taken` is called. */
  function feed(input: Input, taken?: () => void): void {
    if (!found) throw new TautlineError({ code: 'no_host', message: 'no WebSocket here: pass a `host`' });
    // The handler has returned, and what it has asked for meanwhile comes after that.
    if (input.type === 'handled') inputs.unshift([input, taken]);
    else inputs.push([input, taken]);
    if (draining) return;
    if (input.type === 'request') {
      if (gathering) return;
      gathering = true;
      new Promise<void>((resolve) => resolve()).then(() => {
        gathering = false;
        if (!draining) drain();
      });
    }
    drain();
  }

  function drain(): void {
    let next: (typeof inputs)[0] | undefined;
    let output: Output | undefined;
    draining = true;
    while ((next = inputs.shift())) {
      attempt(take, next);
      // Written to the device, and sent, in one go.
      if (next[0].type === 'request' && inputs[0] && inputs[0][0].type === 'request') continue;
      while ((output = session.pollOutput())) {
        trace(output);
        attempt(perform, output);
      }
    }
    draining = false;
    planTimer();
  }

  function take([input, taken]: (typeof inputs)[0]): void {
    const at = clock();
    mono += Math.max(0, at - wall);
    wall = at;
    if (taken) taken();
    trace(input);
    session.handleInput({ mono_ms: mono, wall_ms: at }, input);
    if (input.type === 'socket_closed' && !input.held) delete sockets[input.socket];
  }

  function trace(what: Input | Output): void {
    if (options.trace) attempt(options.trace, what);
  }

  /** A fact of the host's, which may have any form. */
  function onFact(fact: Fact): void {
    if (fact.type !== 'socket_closed') return feed(fact as Input);
    const { socket, code, reason, message, cause, held } = fact;
    feed({
      type: 'socket_closed',
      socket,
      code: codeOf(code),
      reason: boundedText(reason),
      message: boundedText(message),
      cause,
      held,
    });
  }

  function planTimer(): void {
    const at = session.pollTimeout();
    cancelTimer();
    cancelTimer = at === undefined ? noop : host.setTimer(at - mono, () => feed({ type: 'timeout' }));
  }

  function perform(output: Output): void {
    const socket = sockets[(output as { socket: number }).socket];
    switch (output.type) {
      case 'dial':
        return dial(output.socket);
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
      case 'state':
        if (closed && output.state !== 'closed') return;
        line.state = output.state;
        break;
      case 'drop':
        break;
      default:
        if (closed || session.identity_ === last) return;
        if (output.type === 'fetch_auth') return fetchAuth(output.renew);
        if (output.type !== 'welcome') return channels.dispatch_(output);
        channels.welcome_(output);
    }
    run(eventHandlers[output.type] || [], output);
  }

  function dial(socket: number): void {
    const { url } = options;
    if (typeof url === 'string') return dialTo(url);
    let over: boolean | undefined;
    function fail(message?: string): void {
      if (!over) onFact({ type: 'socket_closed', socket, message });
      over = true;
    }
    // What takes too long is closed by the session.
    sockets[socket] = { send: noop, close: () => fail() };
    new Promise<string>((resolve) => resolve(url())).then(
      (its) => {
        if (!isUrl(its)) fail('option url gave ' + its);
        else if (!over) attempt(dialTo, its);
      },
      (error) => fail(messageOf(error)),
    );

    function dialTo(its: string): void {
      sockets[socket] = host.dial(its, 'tautline.v1.json', socket, onFact, options.dial);
    }
  }

  function fetchAuth(renew: boolean): void {
    // An answer to an earlier question, or for the user before, is no login any more.
    const asked = ++fetches;
    new Promise<Auth>((resolve) =>
      resolve(typeof auth === 'function' ? auth({ renew }) : auth || { guest: true }),
    )
      // What cannot be written as JSON, or is nothing, throws here: it is no login.
      .then((login) => JSON.parse(JSON.stringify(login)))
      .then(
        (login) => answer({ type: 'auth', auth: login }),
        (error) => answer({ type: 'auth_failed', message: messageOf(error) }),
      );
    function answer(input: Input): void {
      if (asked === fetches) feed(input);
    }
  }

  /** Calls handlers, but those that an earlier one has taken off. */
  function run(handlers: Handler[], value: unknown): void {
    handlers.slice().forEach((handler) => {
      if (handlers.indexOf(handler) >= 0) attempt(handler, value);
    });
  }

  /** What is thrown is the app's fault, or a host's: it is told, and the line goes on. */
  function attempt<T>(act: (value: T) => void, value: T): void {
    try {
      act(value);
    } catch (error) {
      const others = eventHandlers['error'] || [];
      if (others.length && others.indexOf(act as Handler) < 0) run(others, error);
      else {
        host.setTimer(0, () => {
          throw error;
        });
      }
    }
  }

  function request<T>(verb: RequestVerb, body: object, how?: RequestOptions): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      let text: string;
      // What the app changes later is not sent.
      try {
        text = format.text_ ? format.text_(body) : JSON.stringify(body, format.write_ || withoutBytes);
      } catch (error) {
        // A circle, a BigInt, or a fault of the app's own `toJSON`.
        throw error instanceof TautlineError
          ? error
          : new TautlineError({ code: 'bad_data', message: messageOf(error) });
      }
      const { timeout, idempotent, volatile } = how || ({} as RequestOptions);
      const ttl_ms = wholeOf(timeout, undefined);
      waiters[++requests] = [resolve as (ok: unknown) => void, reject];
      feed({
        type: 'request',
        request: requests,
        verb,
        body,
        json: text,
        ttl_ms,
        idempotent: !!idempotent,
        volatile: !!volatile,
      });
    });
  }

  wall = clock();
  line.state = 'idle';
  line.logins_ = 0;
  line.on = (event, handler) => {
    const list = (eventHandlers[event] = eventHandlers[event] || []);
    list.push(handler as Handler);
    return () => remove(list, handler);
  };
  line.connect = () => feed({ type: 'connect' });
  line.close = () => {
    closed = true;
    line.state = 'closed';
    channels.reset_();
    if (found) feed({ type: 'close' });
    unwatch();
  };
  line.login = (its) => {
    if (closed) return;
    auth = its;
    last = session.identity_;
    line.logins_++;
    fetches++;
    // Before anything that handlers ask for while their subscriptions end: that is the next user's.
    inputs.push([{ type: 'login' }]);
    channels.reset_(new TautlineError({ code: USER_CHANGED }));
    if (!draining) drain();
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
  line.subscribe = (channel, handlers) => channels.subscribe_(channel, handlers as SubscriptionHandlers);
  line.inbox = (handlers) => {
    if (line.state === 'idle') line.connect();
    return channels.inbox_(handlers as SubscriptionHandlers);
  };
  line.publish = (channel, data, how) =>
    request('publish', { channel, data, echo: how && how.echo === false ? false : undefined }, how);
  line.call = (method: string, data?: unknown, how?: RequestOptions) => {
    const body = { method, data, timeout_ms: how && wholeOf(how.timeout, undefined) };
    return request<{ data: never }>('call', body, how).then((ok) => ok.data);
  };
  line.history = (channel, how) => {
    const { after, before, limit } = how || ({} as HistoryOptions);
    return request(
      'history',
      { channel, after: startOf(after), before: startOf(before), limit: wholeOf(limit, undefined) },
      how,
    );
  };
  line.presence = (channel, how) => request('presence', { channel }, how);
  if (options.storage && found) requests = options.storage(session, feed, host);
  const unwatch = host.watch(onFact);
}
