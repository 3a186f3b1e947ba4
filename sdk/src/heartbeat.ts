/**
 * Decides when to ping, and when to give up on a silent peer (protocol, section 6, promise 1).
 *
 * It also keeps account of what waits to be reported with a ping: `seen` and acks.
 */

import { seenOf } from './outbox.js';
import { isOnline, say } from './outputs.js';
import type { Session } from './session.js';
import { acksOf } from './subscriptions.js';
import type { DropCause } from './vocabulary.js';

/** Replies after which `seen` is reported at once (protocol, section 4). */
const REPLIES_UNSAID_MAX = 256;

/** When to look again: the end of the patience with a ping, or the time for the next one. */
export function heartbeatDeadline(s: Session): number {
  if (s.silence_) return s.pongDueMs_;
  return Math.min(s.lastSentMs_ + s.pingMs_, s.lastReceivedMs_ + s.pingMs_, s.reportSinceMs_ + s.options_.report_ms);
}

/** A ping, with everything that waits to be reported. */
export function ping(s: Session): void {
  const seen = seenOf(s);
  const acks = acksOf(s);
  const body = JSON.stringify({ acks });
  Object.keys(acks || {}).forEach((channel) => {
    s.subscriptions_[channel]!.ackWaits_ = false;
  });
  say(s, 'ping', body, seen ? seenMark(s, seen) : '');
  // One that is outstanding already gets no more time.
  if (s.silence_) return;
  s.pongDueMs_ = s.nowMs_ + s.pongMs_ * s.patience_;
  s.silence_ = 'peer_silent';
}

/** A ping that has little time; `cause` is what its silence would mean. */
export function probe(s: Session, cause: DropCause): void {
  if (!isOnline(s)) return;
  if (!s.silence_) ping(s);
  s.pongDueMs_ = Math.min(s.pongDueMs_, s.nowMs_ + s.options_.probe_ms * s.patience_);
  s.silence_ = cause;
}

/** Says up to where everything is settled. */
export function seenMark(s: Session, seen: number): string {
  s.seenSaid_ = seen;
  s.repliesUnsaid_ = 0;
  return '"seen":' + seen + ',';
}

/** True where something waits to be reported. */
export function hasReport(s: Session): unknown {
  return seenOf(s) > s.seenSaid_ || acksOf(s);
}

/** Keeps account of since when there is something to report, and reports what cannot wait. */
export function noteReport(s: Session): void {
  if (!hasReport(s)) s.reportSinceMs_ = Infinity;
  else if (!s.silence_ && s.repliesUnsaid_ >= REPLIES_UNSAID_MAX) {
    ping(s);
    s.reportSinceMs_ = Infinity;
  } else s.reportSinceMs_ = Math.min(s.reportSinceMs_, s.nowMs_);
}
