/** What leaves the session: outputs for the shell, and packets that gather into one message. */

import { utf8Length } from './bytes.js';
import type { Session } from './session.js';
import type { Output, RequestError, RequestInput, StateName } from './types.js';

/** True after a welcome. */
export function isOnline(s: Session): boolean {
  return s.connection_.stage_ === 'online';
}

/** Adds something for the shell to do. */
export function emit(s: Session, output: Output): void {
  s.output_.outputs_.push(output);
}

/** A request of the app's, where it is one, has its answer. */
export function emitSettled(
  s: Session,
  app: RequestInput | undefined,
  error: RequestError | undefined,
  ok?: unknown,
): void {
  if (app) emit(s, { type: 'settled', request: app.request, ok, error: error! });
}

/** Tells of a state, and until when it lasts where it is a wait; unless it is the one that was told last. */
export function setState(s: Session, state: StateName, untilMs?: number): void {
  // The two clocks need not run in step: one wait is announced once.
  if (s.state_ === state && s.waitingUntilMs_ === untilMs) return;
  s.state_ = state;
  s.waitingUntilMs_ = untilMs;
  emit(s, {
    type: 'state',
    state,
    retry_at: untilMs && s.wallMs_ + untilMs - s.nowMs_,
    cause: state === 'stopped' ? s.stopCause_ : undefined,
  });
}

/** Adds a packet to the message of this drain: `marks`, then the verb. A message that would grow too large leaves first. */
export function queuePacket(s: Session, verb: string, body: string, marks?: string): void {
  const packet = '{' + (marks || '') + '"' + verb + '":' + body + '}\n';
  const bytes = utf8Length(packet);
  if (s.output_.messageBytes_ + bytes > s.connection_.messageBytesMax_) flush(s);
  s.output_.message_ += packet;
  s.output_.messageBytes_ += bytes;
  s.heartbeat_.lastSentMs_ = s.nowMs_;
}

/** Sends what has gathered. Called when there is nothing else to do, and before a socket is closed. */
export function flush(s: Session): void {
  if (!s.output_.message_) return;
  emit(s, { type: 'send', socket: s.connection_.socket_, text: s.output_.message_ });
  s.output_.message_ = '';
  s.output_.messageBytes_ = 0;
}
