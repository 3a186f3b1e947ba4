/**
 * Decides when to ping, and when to give up on a silent peer (protocol, section 6, promise 1).
 *
 * It also keeps account of what waits to be reported with a ping: `seen` and acks.
 */

import { seenOf } from './outbox.js';
import { isOnline, queuePacket } from './outputs.js';
import type { Session } from './session.js';
import { acksOf } from './subscriptions.js';
import type { DropCause } from './types.js';

/** Replies after which `seen` is reported at once (protocol, section 4). */
const REPLIES_UNREPORTED_MAX = 256;

/** When to look again: the deadline of a ping, or the time for the next one. */
export function heartbeatDeadline(s: Session): number {
  if (s.heartbeat_.probeCause_) return s.heartbeat_.pongDueMs_;
  return Math.min(
    s.heartbeat_.lastSentMs_ + s.heartbeat_.pingMs_,
    s.heartbeat_.lastReceivedMs_ + s.heartbeat_.pingMs_,
    s.heartbeat_.reportSinceMs_ + s.options_.report_ms,
  );
}

/** A ping, with everything that waits to be reported. */
export function ping(s: Session): void {
  const seen = seenOf(s);
  const acks = acksOf(s);
  const body = JSON.stringify({ acks });
  Object.keys(acks || {}).forEach((channel) => {
    s.subscriptions_[channel]!.ackWaits_ = false;
  });
  queuePacket(s, 'ping', body, seen ? seenMark(s, seen) : '');
  s.heartbeat_.unanswered_++;
  // One that is outstanding already gets no more time.
  if (s.heartbeat_.probeCause_) return;
  s.heartbeat_.pongDueMs_ = s.nowMs_ + s.heartbeat_.pongMs_ * s.environment_.timeoutFactor_;
  s.heartbeat_.probeCause_ = 'peer_silent';
}

/** A ping that has little time; `cause` is what its silence would mean. */
export function probe(s: Session, cause: DropCause): void {
  if (!isOnline(s)) return;
  ping(s);
  s.heartbeat_.pongDueMs_ = Math.min(s.heartbeat_.pongDueMs_, probeDueMs(s));
  s.heartbeat_.probeCause_ = cause;
}

function probeDueMs(s: Session): number {
  return s.nowMs_ + s.options_.probe_ms * s.environment_.timeoutFactor_;
}

/**
 * A packet came. Any packet answers a ping; a probe is over when every ping has its pong. Other packets may have been on their
 * way before the network was lost: they give a probe more time, since its pong waits behind them, and prove nothing.
 */
export function received(s: Session, verb: string): void {
  const it = s.heartbeat_;
  it.lastReceivedMs_ = s.nowMs_;
  if (verb === 'pong' && it.unanswered_) it.unanswered_--;
  if (it.unanswered_ && it.probeCause_ !== 'peer_silent')
    it.pongDueMs_ = Math.max(it.pongDueMs_, probeDueMs(s));
  else it.probeCause_ = undefined;
}

/** Says up to where everything is settled. */
export function seenMark(s: Session, seen: number): string {
  s.heartbeat_.seenReported_ = seen;
  s.heartbeat_.repliesUnreported_ = 0;
  return '"seen":' + seen + ',';
}

/** True where something waits to be reported. */
export function hasReport(s: Session): unknown {
  return seenOf(s) > s.heartbeat_.seenReported_ || acksOf(s);
}

/** Keeps account of since when there is something to report, and reports what cannot wait. */
export function updateReport(s: Session): void {
  if (!hasReport(s)) s.heartbeat_.reportSinceMs_ = Infinity;
  else if (!s.heartbeat_.probeCause_ && s.heartbeat_.repliesUnreported_ >= REPLIES_UNREPORTED_MAX) {
    ping(s);
    s.heartbeat_.reportSinceMs_ = Infinity;
  } else s.heartbeat_.reportSinceMs_ = Math.min(s.heartbeat_.reportSinceMs_, s.nowMs_);
}
