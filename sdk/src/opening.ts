/**
 * How a line is opened: waiting, login, dialling, hello (protocol, sections 3 and 6).
 *
 * Start at `advance`: the one place that decides what a session without a connection does.
 */

import { seenMark } from './heartbeat.js';
import { drop } from './losing.js';
import { seenOf } from './outbox.js';
import { emit, say, setState } from './outputs.js';
import type { Session } from './session.js';
import { helloCursors } from './subscriptions.js';
import type { Auth } from './vocabulary.js';

/** How long a key and a login are kept for another dial without a welcome (protocol, section 3). Milliseconds. */
const KEEP_MS = 60000;

/** Takes the next step towards the goal. Called after every input, while the line is not online. */
export function advance(s: Session): void {
  if (s.goal_ !== 'up') setState(s, s.goal_);
  else if (s.socket_) setState(s, 'connecting');
  else if (s.hiddenSinceMs_ < Infinity) setState(s, 'hidden');
  else if (s.nowMs_ >= s.retryAtMs_) dial(s);
  else if (s.offlineMs_) setState(s, 'offline');
  else setState(s, 'waiting', s.retryAtMs_);
}

function dial(s: Session): void {
  setState(s, 'connecting');
  if (s.nowMs_ >= s.authSinceMs_ + KEEP_MS) s.auth_ = undefined;
  if (!s.auth_ && (!s.ticket_ || s.renew_)) return fetchAuth(s);
  s.closing_ = s.closing_.filter((closing) => closing.untilMs_ > s.nowMs_);
  if (s.closing_.length >= s.options_.slots) return;
  s.socket_ = ++s.socketsMade_;
  s.stage_ = 'dialing';
  giveTime(s);
  s.dials_++;
  emit(s, { type: 'dial', socket: s.socket_ });
}

function fetchAuth(s: Session): void {
  if (s.authDueMs_ < Infinity) return;
  s.authDueMs_ = s.nowMs_ + s.options_.auth_timeout_ms;
  emit(s, { type: 'fetch_auth', renew: s.renew_ });
}

/** The app wants a connection, also where it was told never to come back. */
export function connect(s: Session): void {
  s.goal_ = 'up';
  hurry(s);
}

/** Something has changed for the better: dial as soon as the server allows. */
export function hurry(s: Session): void {
  s.retryAtMs_ = s.notBeforeMs_;
}

/** The app's login, as `fetch_auth` asked for; or it has none just now. */
export function authCame(s: Session, { auth, message }: { auth?: Auth; message?: string | undefined }): void {
  if (s.authDueMs_ === Infinity) return;
  s.authDueMs_ = Infinity;
  // No login at all, where one was promised, is a failure too: asked again at once, the app would give none again.
  if (auth) {
    s.auth_ = auth;
    s.authSinceMs_ = s.nowMs_;
    if (s.stage_ !== 'challenged') return;
    giveTime(s);
    hello(s);
  } else if (s.goal_ === 'up') drop(s, 'auth_failed', { message });
}

/** There must be a welcome within this time. */
function giveTime(s: Session): void {
  s.stageDueMs_ = s.nowMs_ + s.options_.connect_timeout_ms * s.patience_;
}

export function socketOpen(s: Session, { socket }: { socket: number }): void {
  if (s.socket_ === socket && s.stage_ === 'dialing') hello(s);
}

function hello(s: Session): void {
  const { options_, nowMs_, ticket_, firstDrop_: first } = s;
  const seen = seenOf(s);
  seenMark(s, seen);
  s.stage_ = 'greeting';
  if (ticket_) s.attempt_ = Math.max(s.wallMs_, s.attempt_ + 1);
  else if (!s.key_ || nowMs_ >= s.keySinceMs_ + KEEP_MS) {
    s.key_ = options_.instance + hex(s) + hex(s);
    s.keySinceMs_ = nowMs_;
  }
  const body = {
    v: 1,
    key: ticket_ ? undefined : s.key_,
    auth: s.auth_,
    resume: ticket_ && { ticket: ticket_, attempt: s.attempt_, seen: seen || undefined, cursors: helloCursors(s) },
    client: options_.client,
    last_drop: first && {
      cause: first.cause,
      code: first.code,
      reason: first.reason,
      offline_ms: nowMs_ - s.downSinceMs_,
      attempts: s.dials_,
    },
  };
  say(s, 'hello', JSON.stringify(body));
}

/** 32 random bits in eight digits. */
function hex(s: Session): string {
  return ((1 + s.random_()) * 4294967296).toString(16).slice(1);
}

/** The ticket is no good: a login is needed on this same connection. */
export function challenged(s: Session): void {
  forgetLogin(s);
  s.stage_ = 'challenged';
  s.stageDueMs_ = s.nowMs_ + s.options_.auth_timeout_ms;
  fetchAuth(s);
}

/** The server will not have this login. */
export function forgetLogin(s: Session): void {
  s.key_ = '';
  s.auth_ = undefined;
  s.renew_ = true;
}
