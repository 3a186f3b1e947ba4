/**
 * The words of the session: what goes in, what comes out, options. `spec/client-session.md` is the truth about each.
 *
 * Names are as on the wire and in the vectors; whoever reads one reads all.
 */

/** A place in a channel's log. */
export interface Cursor {
  /** The log's life. */
  epoch: string;
  /** Of the last publication handled; the first of a log is 1. */
  offset: number;
  /** When that was appended, in wall milliseconds, where it is known. */
  at?: number;
}

/** A login. */
export type Auth = { token: string } | { code: string; provider: string } | { guest: true };

/** Where a subscription without a cursor begins; `acked` is how far this user's app has got on any device. */
export type ReadFrom = 'now' | 'start' | 'acked' | Cursor;

/** Why a connection ended (protocol, section 6.9). */
export type DropCause =
  | 'closed_by_app'
  | 'background'
  | 'network_lost'
  | 'network_changed'
  | 'peer_silent'
  | 'connect_timeout'
  | 'server_restart'
  | 'taken_over'
  | 'kicked'
  | 'auth_failed'
  | 'domain_not_allowed'
  | 'tls_failed'
  | 'dns_failed'
  | 'slots_exhausted'
  | 'refused'
  | 'protocol_error'
  | 'unknown';

/** What the line is doing. */
export type StateName =
  'idle' | 'connecting' | 'online' | 'waiting' | 'offline' | 'hidden' | 'stopped' | 'closed';

/** Options of a session. Times are in milliseconds. */
export interface SessionOptions {
  /** Random text that begins every `key`. @default made by the line */
  instance: string;
  /** Sent in `hello`. @default made by the line */
  client: { sdk: string; platform: string; version?: string };
  /** Sockets that may exist at once, 1 or 2. @default as the host says: 2 */
  slots: number;
  /** Hang up while the app is in the background. @default true in mini programs, false in browsers */
  background: boolean;
  /** From `hide` to hanging up. @default 4000 */
  background_after_ms: number;
  /** Wait for the answer to a probe. @default 2000 */
  probe_ms: number;
  /** From a dial to `welcome`. @default 10000 */
  connect_timeout_ms: number;
  /** How long `auth` may take. @default 30000 */
  auth_timeout_ms: number;
  /** A closing socket holds its slot at most this long. @default 2000 */
  close_wait_ms: number;
  /** Back-off: the second retry comes within this time, later ones within twice as long each. @default 500 */
  retry_base_ms: number;
  /** Back-off: the ceiling. @default 30000 */
  retry_max_ms: number;
  /** A connection that lived this long resets the back-off. @default 5000 */
  stable_ms: number;
  /** Longest wait before the gateway is told what was received. @default 5000 */
  report_ms: number;
  /** Hang up after so long without a subscription or a request; 0: never. @default 0 */
  idle_ms: number;
  /** How long a request may take where it does not say. @default 30000 */
  request_ttl_ms: number;
  /** Requests not settled. @default 1000 */
  outbox_count_max: number;
  /** Bytes of requests not settled. @default 262144 */
  outbox_bytes_max: number;
  /** What gives way when the outbox is full. @default "reject" */
  outbox_full: 'reject' | 'drop_oldest_volatile';
  /** Size of a `hello`. @default 262144 */
  hello_bytes_max: number;
}

/** Both clocks, in milliseconds. */
export interface Now {
  /** Never goes back. */
  mono_ms: number;
  /** Since 1970. */
  wall_ms: number;
}

/** Why a request was not answered with `ok`. */
export interface RequestError {
  code: string;
  message?: string;
  retry_after_ms?: number | null;
}

/** What a request asks. */
export type RequestVerb = 'publish' | 'call' | 'history' | 'presence';

/** What is told to a session. */
export type Input =
  | { type: 'connect' | 'close' | 'login' | 'timeout' }
  | { type: 'show' | 'hide' }
  | { type: 'auth'; auth: Auth }
  | { type: 'auth_failed'; message?: string }
  | { type: 'socket_open'; socket: number }
  | { type: 'socket_message'; socket: number; text: string }
  | SocketClosedInput
  | RequestInput
  | { type: 'cancel'; request: number }
  | { type: 'subscribe'; channel: string; from?: ReadFrom }
  | { type: 'unsubscribe'; channel: string }
  | { type: 'handled'; channel: string; epoch: string; offset: number }
  | { type: 'network'; online: boolean; kind?: string | undefined; weak?: boolean | undefined };

/** A socket is gone, or was never there. */
export interface SocketClosedInput {
  type: 'socket_closed';
  socket: number;
  code?: number | undefined;
  reason?: string | undefined;
  message?: string | undefined;
  cause?: DropCause | undefined;
  /** It is lost, as an error told, but the host still counts it: another `socket_closed` follows. */
  held?: boolean | undefined;
}

/** The app asks for something. */
export interface RequestInput {
  type: 'request';
  /** Chosen by the shell, never twice. */
  request: number;
  verb: RequestVerb;
  /** The verb's body as on the wire. */
  body: object;
  /** The same as JSON, where it is written already. */
  json?: string;
  ttl_ms?: number;
  idempotent?: boolean;
  volatile?: boolean;
}

/** What a session wants done or told. */
export type Output =
  | { type: 'fetch_auth'; renew: boolean }
  | { type: 'dial' | 'close_socket'; socket: number }
  | { type: 'send'; socket: number; text: string }
  | { type: 'settled'; request: number; ok?: unknown; error?: RequestError }
  | PublicationOutput
  | GapOutput
  | SubscribedOutput
  | { type: 'unsubscribed'; channel: string; code: string; message?: string }
  | PresenceOutput
  | WelcomeOutput
  | DropOutput
  | StateOutput;

/** A publication to hand to the app. */
export interface PublicationOutput {
  type: 'publication';
  channel: string;
  epoch: string;
  /** Its place in the log; rises by one. */
  offset: number;
  /** When it was appended, in wall milliseconds of the server. */
  at: number;
  data: unknown;
  /** The user who published it; absent for back ends and guests. */
  from?: string;
  tags?: { [name: string]: string };
  /** It may have been handed over before the app was last destroyed. */
  redelivered: boolean;
}

/** A subscription is confirmed, once for each connection. */
export interface SubscribedOutput {
  type: 'subscribed';
  channel: string;
  /** Where the app stands. */
  cursor: Cursor;
  /** Publications up to where the log stood, which follow. */
  recovering: number;
  /** The gateway has subscribed the channel, and the app has not asked for it. */
  by_server?: true | undefined;
}

/** The log cannot prove what lay between `after` and `cursor`: the app loads its state afresh. */
export interface GapOutput {
  type: 'gap';
  channel: string;
  reason: 'retention' | 'new_epoch' | 'ahead' | 'mismatch';
  after: number;
  cursor: Cursor;
}

/** Somebody came to a channel, or went. */
export interface PresenceOutput {
  type: 'presence';
  kind: 'join' | 'away' | 'back' | 'leave';
  channel: string;
  user?: string;
  session: string;
}

/** A connection is open. */
export interface WelcomeOutput {
  type: 'welcome';
  session: string;
  user?: string;
  /** The session went on; false: a new one began. */
  resumed: boolean;
  node: string;
  /** The server's wall clock. */
  now: number;
  /** How long there was no connection. */
  offline_ms: number;
}

/** A connection is gone, or a dial has failed. */
export interface DropOutput {
  type: 'drop';
  cause: DropCause;
  /** True: it had been welcome. False: a dial that failed. */
  online: boolean;
  code?: number;
  reason?: string;
  message?: string;
}

/** The line does something else now. */
export interface StateOutput {
  type: 'state';
  state: StateName;
  /** With `waiting`: when the next dial is due, in wall milliseconds. */
  retry_at?: number;
  /** With `stopped`: why. */
  cause?: DropCause;
}
