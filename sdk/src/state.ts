/**
 * The state of a session, grouped by concern. Each group has its initial value beside it; a field that is missing there is set
 * before it is first read.
 *
 * Times are monotonic milliseconds unless their name says `wall`.
 */

import type { Entry } from './outbox.js';
import type { Auth, DropCause, DropOutput, Output } from './types.js';

/** The live socket, and those that are being closed. */
export interface Connection {
  /** The live socket; 0: none. */
  socket_: number;
  socketsOpened_: number;
  /** How far the live socket has come; `challenged`: the server wants a login, which is being fetched. */
  stage_?: '' | 'dialing' | 'greeting' | 'challenged' | 'online';
  /** Until when the stage must be passed, before `online`. */
  stageDueMs_: number;
  onlineSinceMs_: number;
  messageBytesMax_: number;
  /** Sockets that were told to close, and until when they may still hold a slot. */
  closing_: { socket_: number; untilMs_: number }[];
}

export function newConnection(): Connection {
  return {
    socket_: 0,
    socketsOpened_: 0,
    messageBytesMax_: 65536,
    closing_: [] as Connection['closing_'],
  } as Connection;
}

/** When to dial next. */
export interface Backoff {
  /** Retries since the last connection that lived long enough. */
  retries_: number;
  retryAtMs_: number;
  /** No dial before this, whatever else happens: the server said so. */
  notBeforeMs_: number;
  /** The shortest next wait while the host says that there is no network; else 0. */
  offlineMs_: number;
}

export function newBackoff(): Backoff {
  return { retries_: 0, notBeforeMs_: 0, offlineMs_: 0 } as Backoff;
}

/** When to ping, and what waits to be reported with a ping. */
export interface Heartbeat {
  pingMs_: number;
  pongMs_: number;
  lastSentMs_: number;
  lastReceivedMs_: number;
  /** The cause of the drop if the open ping is not answered by `pongDueMs_`; nothing while no ping is open. */
  probeCause_?: DropCause | undefined;
  pongDueMs_: number;
  /** Pings of this connection without a pong. */
  unanswered_: number;
  /** Since when something waits to be reported. */
  reportSinceMs_: number;
  repliesUnreported_: number;
  /** The `seen` that the server was told last. */
  seenReported_: number;
}

/** Ticket, key and login, and what a hello says of the time without a connection. */
export interface Identity {
  ticket_?: string | undefined;
  attempt_: number;
  key_?: string;
  keySinceMs_: number;
  auth_?: Auth | undefined;
  authSinceMs_: number;
  /** When the answer to `fetch_auth` is due, while one is out. */
  authDueMs_: number;
  /** The ticket or the last login was refused. */
  renew_: boolean;
  /** A take-over was answered once already. */
  takeoverRetried_?: boolean;
  /** The first drop since the last welcome, when it was, and the dials since. */
  firstDrop_?: DropOutput | undefined;
  downSinceMs_: number;
  dials_: number;
}

export function newIdentity(): Identity {
  return { attempt_: 0, authDueMs_: Infinity, renew_: false } as Identity;
}

/** When to log in again before the login expires. */
export interface Refresh {
  /** When to ask the app for the next login. */
  dueMs_: number;
  expiresMs_: number;
  /** The same by the server's clock. */
  expiresAt_: number;
  /** The server's wall clock at our zero. */
  clockMs_: number;
  failures_: number;
  /** The last `auth` request. */
  asked_?: Entry;
}

/** Requests that are not settled. */
export interface Outbox {
  /** In the order in which they were or will be sent. */
  entries_: Entry[];
  /** Of these, the app's: how many, and their bytes. */
  requestCount_: number;
  requestBytes_: number;
  nextId_: number;
}

export function newOutbox(): Outbox {
  return { entries_: [], requestCount_: 0, requestBytes_: 0, nextId_: 1 };
}

/** What the host reports of the app and the network. */
export interface Environment {
  hiddenSinceMs_: number;
  networkKind_?: string | undefined;
  /** Waits for an answer are multiplied by this: more on a weak network. */
  timeoutFactor_: number;
}

export function newEnvironment(): Environment {
  return { hiddenSinceMs_: Infinity, timeoutFactor_: 1 };
}

/** What leaves the session. */
export interface Outgoing {
  outputs_: Output[];
  /** Packets of this drain, for the live socket, and their bytes. */
  message_: string;
  messageBytes_: number;
}

export function newOutgoing(): Outgoing {
  return { outputs_: [], message_: '', messageBytes_: 0 };
}
