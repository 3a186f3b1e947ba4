/** What happens to the line from outside: background, network, and time (protocol, section 6). */

import { hasReport, heartbeatDeadline, ping, probe } from './heartbeat.js';
import { drop, detach, delayOffline } from './disconnect.js';
import { onAuth, retryNow } from './connect.js';
import { expire } from './outbox.js';
import { isOnline, queuePacket } from './outputs.js';
import { refreshDeadline, refreshTimeout } from './refresh.js';
import type { Session } from './session.js';
import { isUnasked, retrySubscriptions } from './subscriptions.js';

export function hide(s: Session): void {
  if (s.options_.background)
    s.environment_.hiddenSinceMs_ = Math.min(s.environment_.hiddenSinceMs_, s.nowMs_);
}

export function show(s: Session): void {
  const overdue = hideDeadline(s) <= s.nowMs_;
  s.environment_.hiddenSinceMs_ = Infinity;
  // Timers froze: the host has cut the socket, whatever it looks like.
  if (overdue) drop(s, 'background');
  probe(s, 'background');
  retryNow(s);
}

/** Waits on a weak network are so many times as long: an answer that comes late is better than another handshake. */
const TIMEOUT_FACTOR_WEAK = 2;

/** How long the next dial waits where the host says that there is no network. Hosts are wrong about it. */
const OFFLINE_MS = 5000;

export function network(
  s: Session,
  { online, kind, weak }: { online: boolean; kind?: string; weak?: boolean },
): void {
  const last = s.environment_.networkKind_;
  const turned = online === !!s.backoff_.offlineMs_;
  s.backoff_.offlineMs_ = online ? 0 : s.backoff_.offlineMs_ || OFFLINE_MS;
  s.environment_.timeoutFactor_ = weak ? TIMEOUT_FACTOR_WEAK : 1;
  s.environment_.networkKind_ = kind || last;
  if (!turned && !(kind && last && kind !== last)) return;
  if (isOnline(s)) probe(s, online ? 'network_changed' : 'network_lost');
  else if (online) {
    if (s.connection_.socket_) drop(s, 'network_changed');
    retryNow(s);
  } else if (turned && s.goal_ === 'up' && !s.connection_.socket_) delayOffline(s);
}

function pause(s: Session, reason: string): void {
  if (!isOnline(s)) return;
  if (hasReport(s)) ping(s);
  queuePacket(s, 'pause', JSON.stringify({ reason }));
}

/** A deadline may have passed. */
export function timeout(s: Session): void {
  const nowMs = s.nowMs_;
  expire(s);
  retrySubscriptions(s);
  if (hideDeadline(s) <= nowMs) {
    // Better to leave than to be cut.
    pause(s, 'background');
    drop(s, 'background');
  } else if (lineDeadline(s) <= nowMs) lineTimeout(s);
  else if (refreshDeadline(s) <= nowMs) refreshTimeout(s);
  else if (idleDeadline(s) <= nowMs) {
    // Nobody needs the line: spare the phone.
    pause(s, 'idle');
    detach(s);
    s.goal_ = 'idle';
  }
}

function lineTimeout(s: Session): void {
  const cause = isOnline(s) ? s.heartbeat_.probeCause_ : 'connect_timeout';
  if (!cause) ping(s);
  else if (s.connection_.socket_ && s.connection_.stage_ !== 'challenged')
    drop(s, s.backoff_.offlineMs_ ? 'network_lost' : cause);
  else if (s.identity_.authDueMs_ <= s.nowMs_) onAuth(s, {});
}

/** When the line itself needs attention. */
export function lineDeadline(s: Session): number {
  if (s.connection_.socket_) return isOnline(s) ? heartbeatDeadline(s) : s.connection_.stageDueMs_;
  if (s.state_ === 'waiting' || s.state_ === 'offline') return s.backoff_.retryAtMs_;
  if (s.state_ !== 'connecting') return Infinity;
  return s.identity_.authDueMs_ < Infinity
    ? s.identity_.authDueMs_
    : Math.min.apply(
        Math,
        s.connection_.closing_.map((closing) => closing.untilMs_),
      );
}

/** When an app in the background is better off without a connection. */
export function hideDeadline(s: Session): number {
  return s.connection_.socket_ ? s.environment_.hiddenSinceMs_ + s.options_.background_after_ms : Infinity;
}

/** When a line that nobody uses may hang up. */
export function idleDeadline(s: Session): number {
  const { idle_ms } = s.options_;
  const quiet = Object.keys(s.subscriptions_).every((channel) => isUnasked(s.subscriptions_[channel]!));
  return idle_ms && isOnline(s) && !s.outbox_.entries_.length && quiet ? s.activeMs_ + idle_ms : Infinity;
}
