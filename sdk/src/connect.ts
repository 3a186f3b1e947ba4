/**
 * How a line is opened: waiting, login, dialling, hello (protocol, sections 3 and 6).
 *
 * Start at `advance`: the one place that decides what a session without a connection does.
 */

import { seenMark } from './heartbeat.js';
import { drop } from './disconnect.js';
import { refreshWith } from './refresh.js';
import { seenOf } from './outbox.js';
import { emit, isOnline, queuePacket, setState } from './outputs.js';
import type { Session } from './session.js';
import { helloCursors } from './subscriptions.js';
import type { Auth } from './types.js';

/** How long a key and a login are kept for another dial without a welcome (protocol, section 3). Milliseconds. */
const KEEP_MS = 60000;

/** Takes the next step towards the goal. Called after every input, while the line is not online. */
export function advance(s: Session): void {
  if (s.goal_ !== 'up') setState(s, s.goal_);
  else if (s.connection_.socket_) setState(s, 'connecting');
  else if (s.environment_.hiddenSinceMs_ < Infinity) setState(s, 'hidden');
  else if (s.nowMs_ >= s.backoff_.retryAtMs_) dial(s);
  else if (s.backoff_.offlineMs_) setState(s, 'offline');
  else setState(s, 'waiting', s.backoff_.retryAtMs_);
}

function dial(s: Session): void {
  setState(s, 'connecting');
  if (s.nowMs_ >= s.identity_.authSinceMs_ + KEEP_MS) s.identity_.auth_ = undefined;
  if (!s.identity_.auth_ && (!s.identity_.ticket_ || s.identity_.renew_)) return fetchAuth(s);
  s.connection_.closing_ = s.connection_.closing_.filter((closing) => closing.untilMs_ > s.nowMs_);
  if (s.connection_.closing_.length >= s.options_.slots) return;
  s.connection_.socket_ = ++s.connection_.socketsOpened_;
  s.connection_.stage_ = 'dialing';
  startDeadline(s);
  s.identity_.dials_++;
  emit(s, { type: 'dial', socket: s.connection_.socket_ });
}

function fetchAuth(s: Session): void {
  if (s.identity_.authDueMs_ < Infinity) return;
  s.identity_.authDueMs_ = s.nowMs_ + s.options_.auth_timeout_ms;
  emit(s, { type: 'fetch_auth', renew: s.identity_.renew_ });
}

/** The app wants a connection, also where it was told never to come back. */
export function connect(s: Session): void {
  s.goal_ = 'up';
  retryNow(s);
}

/** Something has changed for the better: dial as soon as the server allows. */
export function retryNow(s: Session): void {
  s.backoff_.retryAtMs_ = s.backoff_.notBeforeMs_;
}

/** The app's login, as `fetch_auth` asked for; or it has none just now. */
export function onAuth(s: Session, { auth, message }: { auth?: Auth; message?: string | undefined }): void {
  if (s.identity_.authDueMs_ === Infinity) return;
  s.identity_.authDueMs_ = Infinity;
  if (isOnline(s)) return refreshWith(s, auth);
  // No login at all, where one was promised, is a failure too: asked again at once, the app would give none again.
  if (auth) {
    s.identity_.auth_ = auth;
    s.identity_.authSinceMs_ = s.nowMs_;
    if (s.connection_.stage_ !== 'challenged') return;
    startDeadline(s);
    hello(s);
  } else if (s.goal_ === 'up') drop(s, 'auth_failed', { message });
}

/** There must be a welcome within this time. */
function startDeadline(s: Session): void {
  s.connection_.stageDueMs_ = s.nowMs_ + s.options_.connect_timeout_ms * s.environment_.timeoutFactor_;
}

export function onSocketOpen(s: Session, { socket }: { socket: number }): void {
  if (s.connection_.socket_ === socket && s.connection_.stage_ === 'dialing') hello(s);
}

function hello(s: Session): void {
  const { options_, nowMs_, identity_ } = s;
  const { ticket_, firstDrop_: first } = identity_;
  const seen = seenOf(s);
  seenMark(s, seen);
  s.connection_.stage_ = 'greeting';
  if (ticket_) s.identity_.attempt_ = Math.max(s.wallMs_, s.identity_.attempt_ + 1);
  else if (!s.identity_.key_ || nowMs_ >= s.identity_.keySinceMs_ + KEEP_MS) {
    s.identity_.key_ = options_.instance + hex(s) + hex(s);
    s.identity_.keySinceMs_ = nowMs_;
  }
  const body = {
    v: 1,
    key: ticket_ ? undefined : s.identity_.key_,
    auth: s.identity_.auth_,
    resume: ticket_ && {
      ticket: ticket_,
      attempt: s.identity_.attempt_,
      seen: seen || undefined,
      cursors: helloCursors(s),
    },
    client: options_.client,
    last_drop: first && {
      cause: first.cause,
      code: first.code,
      reason: first.reason,
      offline_ms: nowMs_ - s.identity_.downSinceMs_,
      attempts: s.identity_.dials_,
    },
  };
  queuePacket(s, 'hello', JSON.stringify(body));
}

/** 32 random bits in eight digits. */
function hex(s: Session): string {
  return ((1 + s.random_()) * 4294967296).toString(16).slice(1);
}

/** The ticket is no good: a login is needed on this same connection. */
export function onChallenge(s: Session): void {
  forgetAuth(s);
  s.connection_.stage_ = 'challenged';
  s.connection_.stageDueMs_ = s.nowMs_ + s.options_.auth_timeout_ms;
  fetchAuth(s);
}

/** The server will not have this login. */
export function forgetAuth(s: Session): void {
  s.identity_.key_ = '';
  s.identity_.auth_ = undefined;
  s.identity_.renew_ = true;
}
