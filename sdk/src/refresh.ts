/** When to log in again on an open connection, before the login expires (protocol, section 4, `auth`). */

import { pushAuth, type Entry } from './outbox.js';
import { emit, isOnline } from './outputs.js';
import { retryDelayMs } from './retry.js';
import type { Session } from './session.js';
import type { Auth, RequestError } from './types.js';

/** The refresh leaves this much time before the expiry, where the life of the login has room for it. Milliseconds. */
const MARGIN_MS = 30000;
/** After a failure at least this part of the time until the expiry passes. */
const PATIENCE = 8;
/** Longer lives are taken for this one, some thirty years, so that both languages count with the same numbers. */
const LIFE_MS_MAX = 1e12;

/** A welcome came: the server's clock, and when the login expires, unless never. */
export function beginRefresh(s: Session, serverNow: number, expiresAt: number | undefined): void {
  s.refresh_.clockMs_ = serverNow - s.nowMs_;
  s.refresh_.dueMs_ = Infinity;
  if (expiresAt) renewed(s, expiresAt);
}

/** The login is good until then, by the server's clock: asks again after 70 to 90 % of that time. */
function renewed(s: Session, expiresAt: number): void {
  const lifeMs = Math.min(Math.max(0, expiresAt - s.refresh_.clockMs_ - s.nowMs_), LIFE_MS_MAX);
  const spreadMs = Math.floor((lifeMs * (700 + Math.floor(s.random_() * 200))) / 1000);
  s.refresh_.dueMs_ = s.nowMs_ + Math.min(spreadMs, Math.max(lifeMs - MARGIN_MS, Math.floor(lifeMs / 2)));
  s.refresh_.expiresMs_ = s.nowMs_ + lifeMs;
  s.refresh_.expiresAt_ = expiresAt;
  s.refresh_.failures_ = 0;
}

/** There was no login, or the server refused it: tries again later, while there is time. */
export function refreshFailed(s: Session, afterMs?: number | null): void {
  const { expiresMs_ } = s.refresh_;
  const delayMs = retryDelayMs(s, ++s.refresh_.failures_, afterMs);
  // An app with a fixed token gives the same one each time, for days perhaps.
  const dueMs = s.nowMs_ + Math.max(delayMs, Math.floor((expiresMs_ - s.nowMs_) / PATIENCE));
  s.refresh_.dueMs_ = dueMs < expiresMs_ ? dueMs : Infinity;
}

/** When the login must be refreshed, or the app has taken too long to give one. */
export function refreshDeadline(s: Session): number {
  return isOnline(s) ? Math.min(s.identity_.authDueMs_, s.refresh_.dueMs_) : Infinity;
}

/** Asks the app for the next login, or waits no longer for it. */
export function refreshTimeout(s: Session): void {
  if (s.identity_.authDueMs_ < Infinity) {
    s.identity_.authDueMs_ = Infinity;
    return refreshFailed(s);
  }
  s.refresh_.dueMs_ = Infinity;
  s.identity_.authDueMs_ = s.nowMs_ + s.options_.auth_timeout_ms;
  // The app's last login is the one that expires.
  emit(s, { type: 'fetch_auth', renew: true });
}

/** Only a token can be sent on an open connection: another login is asked for when this one has expired. */
export function refreshWith(s: Session, auth: Auth | undefined): void {
  if (!auth) refreshFailed(s);
  else if ((auth as { token?: string }).token) s.refresh_.asked_ = pushAuth(s, auth);
}

/** A request was answered: that of a refresh, perhaps. */
export function refreshed(s: Session, entry: Entry, ok: unknown, error: RequestError | undefined): void {
  if (entry !== s.refresh_.asked_) return;
  const { ticket, expires_at } = (ok || {}) as { ticket?: string; expires_at: number };
  s.identity_.ticket_ = ticket || s.identity_.ticket_;
  // The same login over and over refreshes nothing.
  if (ticket && expires_at > s.refresh_.expiresAt_) renewed(s, expires_at);
  else refreshFailed(s, error && error.retry_after_ms);
}
