/** What an app says to a line, and hears from it. */

import type { TautlineError } from './error.js';
import type { Host } from './host.js';
import type { Format } from './msgpack.js';
import type { Storage } from './storage.js';
import type {
  Auth,
  Cursor,
  DropOutput,
  GapOutput,
  Input,
  Output,
  PresenceOutput,
  PublicationOutput,
  ReadFrom,
  SessionOptions,
  StateOutput,
  SubscribedOutput,
  WelcomeOutput,
} from './types.js';

/** Options of a line: these, and any of the session's. */
export interface TautlineOptions extends Partial<SessionOptions> {
  /**
   * Where the gateway is: `wss://…/connect`; or how to get that, as where it is signed or changes. A function is asked at each
   * dial, and within `connect_timeout_ms`; a dial without an answer has failed.
   */
  url: string | (() => string | PromiseLike<string>);
  /** For `connectSocket` of a mini program: `{ header: … }`. Browsers have none of it. */
  dial?: DialOptions;
  /**
   * Gives the login, or how to get it; asked only when one is needed, and again before a token expires. `renew`: the last
   * one was refused or is about to expire, so a cached one will not do.
   *
   * @default a guest
   */
  auth?: Auth | ((how: { renew: boolean }) => Auth | PromiseLike<Auth>);
  /** How long the promise of a handler is waited for, in milliseconds. @default 30000 */
  handler_timeout_ms?: number;
  /** Events of one handler that wait for its promise. What does not fit is read again afterwards. @default 256 */
  subscription_events_max?: number;
  /** Sees all that goes in and out of the session, secrets included: for a debugger, or a ring of the last events. */
  trace?: (what: Input | Output) => void;
  /** Where the line runs: `wechatHost(wx)`, `browserHost(window)`, … @default found out */
  host?: Host;
  /**
   * How messages travel, and whether payloads may hold bytes: `msgpack`, or `json` for bytes in json, both from
   * `tautline/msgpack`. @default json, without bytes
   */
  format?: Format;
  /** Lets the line outlive an app that is destroyed: `storage()` from `tautline/storage`. @default nothing is stored */
  storage?: Storage;
}

/** Options that a mini program's `connectSocket` takes besides the address; the host says which it knows. */
export interface DialOptions {
  header?: { [name: string]: string };
  /** In milliseconds. */
  timeout?: number;
  /** @default true */
  tcpNoDelay?: boolean;
  perMessageDeflate?: boolean;
  forceCellularNetwork?: boolean;
}

/** What can be listened to with `line.on`. */
export interface LineEvents {
  /** The line does something else now. */
  state: StateOutput;
  /** A connection is open. */
  welcome: WelcomeOutput;
  /** A connection is gone, or a dial has failed. */
  drop: DropOutput;
  /**
   * The gateway has subscribed this user to a channel, as the login says, and nothing here listens to it: told once for each
   * connection. Handlers that `line.subscribe` adds in the course of this call hear all that follows.
   */
  subscription: SubscribedOutput;
  /** A handler of the app's has thrown, has broken its promise or took too long. Without a listener it is thrown outside of the line. */
  error: unknown;
}

/**
 * What an app wants to hear of a channel. A handler may give a promise: until it is settled, what follows for the same handlers
 * waits, at most for `handler_timeout_ms`.
 */
export interface SubscriptionHandlers<T = unknown> {
  /**
   * Where to begin. From anywhere but `now` a handler is served from there also where the channel is subscribed already.
   *
   * @default "now"
   */
  from?: ReadFrom;
  /**
   * A publication, once and in order. When this has returned, and its promise is kept, it is handled, and everything before it.
   * One that throws, breaks its promise or takes too long does not say so; the next one does for both.
   */
  onPublication?(publication: PublicationOutput & { data: T }): unknown;
  /** Publications may be missing: load your state afresh. */
  onGap?(gap: GapOutput): unknown;
  /** Confirmed, once for each connection; `recovering` publications follow that were missed. */
  onSubscribed?(where: { channel: string; cursor: Cursor; recovering: number }): unknown;
  /** Somebody came or went. */
  onPresence?(change: PresenceOutput): unknown;
  /** The subscription was refused, or the gateway ended it. */
  onUnsubscribed?(error: TautlineError): unknown;
  /**
   * Holds the channel for another subscription, and handles nothing: what it alone is handed is not acknowledged.
   * @internal
   */
  holds_?: true;
}

/** What an app wants to hear of the user's own channel. */
export type InboxHandlers<T = unknown> = Pick<
  SubscriptionHandlers<T>,
  'onPublication' | 'onGap' | 'onSubscribed' | 'onUnsubscribed'
>;

/** A subscription that was made. */
export interface Subscription {
  readonly channel: string;
  /** Ends it; nothing is handed over after this. */
  unsubscribe(): void;
}

/** How a request is made. */
export interface RequestOptions {
  /** How long it may take, in milliseconds, waiting for a connection included. @default `request_ttl_ms` */
  timeout?: number;
  /** Executing it twice does no harm: where the session was lost it is sent again rather than left in doubt. @default false */
  idempotent?: boolean;
  /** May be dropped unsent where the outbox is full and `outbox_full` says so. @default false */
  volatile?: boolean;
}

/** How a publication is made. */
export interface PublishOptions extends RequestOptions {
  /** False: this line, while its session lasts, does not hand it to its own handlers; everybody else gets it. @default true */
  echo?: boolean;
}

/** Which page of a log. */
export interface HistoryOptions extends RequestOptions {
  /** Forwards from behind this place. */
  after?: Cursor | 'start';
  /** The page that ends before this place. */
  before?: Cursor;
  /** Publications on the page. @default 100 */
  limit?: number;
}

/** Where a publication went. */
export interface Published {
  epoch: string;
  offset: number;
  /** In wall milliseconds of the server. */
  at: number;
}

/** A page of a log, rising. */
export interface HistoryPage {
  epoch: string;
  publications: {
    offset: number;
    at: number;
    data: unknown;
    from?: string;
    tags?: { [name: string]: string };
  }[];
  /** There is more in the direction read. */
  more: boolean;
}

/** Who is subscribed to a channel. */
export interface Presence {
  members: { user?: string; session: string; since: number; state: 'online' | 'away' }[];
  count: number;
}
