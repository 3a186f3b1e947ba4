/** How a line is lost, and why; what follows is decided by `advance` (protocol, sections 6 and 7). */

import { byeOfCloseCode, meaningOf, type Bye } from './bye.js';
import { ping } from './heartbeat.js';
import { forgetAuth } from './connect.js';
import { resetConnection, settleAll } from './outbox.js';
import { emit, flush, isOnline, queuePacket } from './outputs.js';
import { jitterMs } from './retry.js';
import type { Session } from './session.js';
import { acksOf } from './subscriptions.js';
import { failRequest } from './online.js';
import type { DropCause, DropOutput, SocketClosedInput } from './types.js';

export function onSocketClosed(s: Session, closed: SocketClosedInput): void {
  const { socket, code, reason, held } = closed;
  if (!held) s.connection_.closing_ = s.connection_.closing_.filter((closing) => closing.socket_ !== socket);
  if (s.connection_.socket_ !== socket) return;
  // Where the packet was lost on its way, its code was not.
  const last = byeOfCloseCode(code!, reason);
  if (last) return bye(s, undefined, last, !held);
  // What this version does not know is told by its range.
  const ours = code! >= 4000 && code! < 4300;
  if (ours && code! >= 4100) stop(s, 'unknown');
  drop(s, ours ? 'unknown' : causeOf(s, closed), closed, !held);
}

/** Only the app leads back. */
function stop(s: Session, cause: DropCause): void {
  s.goal_ = 'stopped';
  s.stopCause_ = cause;
}

function causeOf(s: Session, { cause, code }: SocketClosedInput): DropCause {
  if (s.environment_.hiddenSinceMs_ < Infinity) return 'background';
  if (s.backoff_.offlineMs_) return 'network_lost';
  if (cause) return cause;
  if (s.heartbeat_.probeCause_ && s.heartbeat_.probeCause_ !== 'peer_silent') return s.heartbeat_.probeCause_;
  return [1002, 1003, 1007, 1009].indexOf(code!) < 0 ? 'unknown' : 'protocol_error';
}

/** The server's last word; `closed`: the socket is gone already. */
export function bye(s: Session, id: number | undefined, last: Bye, closed?: boolean): void {
  const { code, message, attempt } = last;
  const meaning = meaningOf(code);
  const closeCode = meaning[0];
  const cause = meaning[1] || 'unknown';
  let never = last.reconnect === 'never';
  if (code === 'taken_over' && attempt !== undefined && !isOnline(s) && !s.identity_.takeoverRetried_) {
    s.identity_.takeoverRetried_ = true;
    s.identity_.attempt_ = Math.max(s.identity_.attempt_, attempt);
    never = false;
  }
  if (cause === 'auth_failed' || cause === 'kicked') forgetAuth(s);
  if (closeCode! > 4200 && id !== undefined) {
    failRequest(s, id, { code, message });
    never = false;
  }
  if (never) stop(s, cause);
  drop(s, cause, { code: closeCode, reason: code, message: message || undefined }, closed, last);
}

/** Gives a connection, or an attempt at one, up. `words` are the host's; `advice` is what the server said about coming back. */
export function drop(
  s: Session,
  cause: DropCause,
  words?: Pick<SocketClosedInput, 'code' | 'reason' | 'message'>,
  closed?: boolean,
  advice?: Bye,
): void {
  const { code, reason, message } = words || {};
  const output: DropOutput = { type: 'drop', cause, online: isOnline(s), code, reason, message };
  detach(s, closed);
  schedule(s, advice);
  if (!s.identity_.firstDrop_) {
    s.identity_.firstDrop_ = output;
    s.identity_.downSinceMs_ = s.nowMs_;
    s.identity_.dials_ = 0;
  }
  emit(s, output);
}

/** Plans the next dial: the first retry at once, then full jitter under a doubling ceiling. */
function schedule(s: Session, advice?: Bye): void {
  const { reconnect, retry_after_ms: afterMs } = advice || ({} as Partial<Bye>);
  if (reconnect === 'later' && typeof afterMs !== 'number') s.backoff_.retries_ = s.backoff_.retries_ || 1;
  const delayMs = s.backoff_.retries_ && jitterMs(s, s.backoff_.retries_);
  s.backoff_.retries_++;
  s.backoff_.notBeforeMs_ = s.nowMs_ + (afterMs || 0);
  s.backoff_.retryAtMs_ = Math.max(s.backoff_.notBeforeMs_, s.nowMs_ + delayMs);
  delayOffline(s);
}

/** What a dial waits at most where the host says that there is no network, and never takes it back. */
const OFFLINE_MS_MAX = 30000;

/** Where there is no network, as the host says, the next dial waits, and the one after it twice as long. */
export function delayOffline(s: Session): void {
  if (!s.backoff_.offlineMs_) return;
  s.backoff_.retryAtMs_ = Math.max(s.backoff_.retryAtMs_, s.nowMs_ + s.backoff_.offlineMs_);
  s.backoff_.offlineMs_ = Math.min(OFFLINE_MS_MAX, 2 * s.backoff_.offlineMs_);
}

/** Detaches from the live socket: never waits for the host, which may say nothing for minutes. */
export function detach(s: Session, closed?: boolean): void {
  const { nowMs_ } = s;
  const { socket_ } = s.connection_;
  flush(s);
  if (isOnline(s)) {
    // A refresh that is under way is about this connection.
    s.identity_.authDueMs_ = Infinity;
    if (nowMs_ >= s.connection_.onlineSinceMs_ + s.options_.stable_ms) s.backoff_.retries_ = 0;
  }
  s.connection_.socket_ = 0;
  s.connection_.stage_ = '';
  s.heartbeat_.probeCause_ = undefined;
  if (socket_ && !closed) {
    s.connection_.closing_.push({ socket_, untilMs_: nowMs_ + s.options_.close_wait_ms });
    emit(s, { type: 'close_socket', socket: socket_ });
  }
  resetConnection(s);
}

/** The session is over: the server can forget it. */
export function sayBye(s: Session): void {
  if (!isOnline(s)) return;
  // What the app has handled is told before there is nobody left to tell it.
  if (acksOf(s)) ping(s);
  queuePacket(s, 'bye', '{}');
}

/** The app is done, for good. */
export function close(s: Session): void {
  sayBye(s);
  if (s.connection_.socket_) drop(s, 'closed_by_app');
  s.goal_ = 'closed';
  settleAll(s, 'closed', () => true);
}
