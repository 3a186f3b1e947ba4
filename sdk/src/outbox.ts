/**
 * What has been asked and not settled (protocol, section 4; section 6, promises 6 and 7).
 *
 * Entries stand in the order in which they were or will be sent: those with an id first, ids rising. An entry that leaves
 * is settled; `seenOf` follows from what is left.
 */

import { utf8Length } from './bytes.js';
import { emitSettled } from './outputs.js';
import type { Session } from './session.js';
import type { Subscription } from './subscriptions.js';
import type { Auth, RequestInput } from './types.js';

/** Requests of one connection that may be unanswered (protocol, section 9). */
const IN_FLIGHT_MAX = 256;
/** Ids past `seen`: the server keeps 1,024 replies that were not seen, and ends the session at one more. */
const UNSEEN_MAX = 1000;
/** What marks and punctuation add to a request, at most. Bytes. */
const ENVELOPE_BYTES = 64;

/** One request: the app's where it has `app_`, else made here. */
export interface Entry {
  verb_: string;
  /** As JSON. */
  body_: string;
  bytes_: number;
  app_?: RequestInput | undefined;
  /** The channel to subscribe to. */
  channel_?: string | undefined;
  /** The subscription to end, which stays until the answer. */
  leaves_?: Subscription | undefined;
  /** Given when first sent in this session; 0 before. */
  id_: number;
  /** The socket that it was last sent on; 0: never sent. */
  sentOn_: number;
  /** In monotonic milliseconds. */
  expiresAtMs_: number;
  /** With storage: the id that it has on the device, 0 before it has one; nothing before it is there. And when it was asked, in wall milliseconds. */
  storedAs_?: number;
  askedAtMs_?: number;
  /** As it was written last: nothing else of it changes than its id, and that it was sent. */
  written_?: string;
}

/** The highest id up to which everything is settled; 0 before the first. */
export function seenOf(s: Session): number {
  const first = s.outbox_.entries_[0];
  return ((first && first.id_) || s.outbox_.nextId_) - 1;
}

/** Takes a request of the app's. Something may have to be settled for it, itself perhaps. */
export function pushRequest(s: Session, app: RequestInput): void {
  const { options_ } = s;
  const entry = newEntry(app.verb, app.body, app.json);
  entry.app_ = app;
  entry.expiresAtMs_ = s.nowMs_ + (app.ttl_ms === undefined ? options_.request_ttl_ms : app.ttl_ms);
  if (entry.bytes_ > s.connection_.messageBytesMax_) return settle(s, entry, 'too_large');
  while (!add(s, entry)) {
    const victim =
      options_.outbox_full !== 'reject' &&
      s.outbox_.entries_.filter(({ app_, sentOn_ }) => app_ && app_.volatile && !sentOn_)[0];
    settle(s, victim || entry, 'overflow');
    if (!victim) return;
  }
}

/** Adds a request of the app's. False where there is no room for it. */
export function add(s: Session, entry: Entry): boolean {
  const { outbox_count_max, outbox_bytes_max } = s.options_;
  const fits =
    s.outbox_.requestCount_ < outbox_count_max && s.outbox_.requestBytes_ + entry.bytes_ <= outbox_bytes_max;
  if (fits) {
    s.outbox_.entries_.push(entry);
    s.outbox_.requestCount_++;
    s.outbox_.requestBytes_ += entry.bytes_;
  }
  return fits;
}

/** Adds a `subscribe`: at the end, or `early`, before the app's requests that were never sent. Gives its entry. */
export function pushSubscribe(s: Session, channel: string, from: unknown, early: boolean): Entry {
  const entry = newEntry('subscribe', { channel, from });
  entry.channel_ = channel;
  const unsent = early ? s.outbox_.entries_.filter((other) => !other.id_ && other.app_)[0] : undefined;
  s.outbox_.entries_.splice(
    unsent ? s.outbox_.entries_.indexOf(unsent) : s.outbox_.entries_.length,
    0,
    entry,
  );
  return entry;
}

/** Adds an `unsubscribe`. Gives its entry. */
export function pushUnsubscribe(s: Session, channel: string): Entry {
  const entry = newEntry('unsubscribe', { channel });
  s.outbox_.entries_.push(entry);
  return entry;
}

/** Adds an `auth`, with the next login. Gives its entry. */
export function pushAuth(s: Session, auth: Auth): Entry {
  const entry = newEntry('auth', auth);
  s.outbox_.entries_.push(entry);
  return entry;
}

/** A request that is nobody's yet, and never sent; `written` is its body as JSON, where that is there. */
export function newEntry(verb: string, body: object, written?: string): Entry {
  const text = written || JSON.stringify(body);
  return {
    verb_: verb,
    body_: text,
    bytes_: utf8Length(text + verb) + ENVELOPE_BYTES,
    id_: 0,
    sentOn_: 0,
    expiresAtMs_: Infinity,
  };
}

/**
 * The next request to send on this connection, with its id; nothing where none may be sent. Requests that are larger than
 * a message may be are settled on the way.
 */
export function nextToSend(s: Session): Entry | undefined {
  let sent = 0;
  for (;;) {
    // What was sent on this connection comes first.
    while (sent < s.outbox_.entries_.length && s.outbox_.entries_[sent]!.sentOn_ === s.connection_.socket_)
      sent++;
    const next = s.outbox_.entries_[sent];
    if (!next || sent >= IN_FLIGHT_MAX) return undefined;
    if (!next.app_ || next.bytes_ <= s.connection_.messageBytesMax_) {
      if (!next.id_ && s.outbox_.nextId_ > seenOf(s) + UNSEEN_MAX) return undefined;
      return next;
    }
    settle(s, next, 'too_large');
  }
}

/** A reply came: its request leaves. Nothing for ids that are settled already. */
export function takeReplied(s: Session, id: number): Entry | undefined {
  const entry = s.outbox_.entries_.filter((other) => other.id_ === id)[0];
  if (entry) remove(s, entry);
  return entry;
}

/** Settles what has waited long enough. */
export function expire(s: Session): void {
  settleAll(s, '', (entry) => entry.expiresAtMs_ <= s.nowMs_);
}

/** When the next request has waited long enough, in monotonic milliseconds. */
export function nextExpiry(s: Session): number {
  return s.outbox_.entries_.reduce((at, entry) => Math.min(at, entry.expiresAtMs_), Infinity);
}

/** The connection is gone. What was made here is asked afresh on the next one; the app's requests stay. */
export function resetConnection(s: Session): void {
  s.outbox_.entries_ = s.outbox_.entries_.filter((entry) => entry.app_);
}

/** A session is open: the old one, whose numbering goes on, or a new one, which knows of nothing. */
export function openOutbox(s: Session, resumed: boolean, requestsSeen: number): void {
  if (resumed) {
    // 2⁵²: no honest server has seen so many. Ids count on from here, and never leave the numbers that are the same everywhere.
    if (requestsSeen < 4503599627370496) s.outbox_.nextId_ = Math.max(s.outbox_.nextId_, requestsSeen + 1);
    return;
  }
  s.outbox_.nextId_ = 1;
  // With their session lost, nobody can say whether these were executed, and it would matter.
  settleAll(
    s,
    'in_doubt',
    (entry) => entry.sentOn_ && !entry.app_!.idempotent && /publish|call/.test(entry.verb_),
  );
  s.outbox_.entries_.forEach((entry) => {
    entry.id_ = 0;
  });
}

/** Settles, on this side, all that pass the test. Without a code: `timeout` or `expired`, as it was sent or not. */
export function settleAll(s: Session, code: string, test: (entry: Entry) => unknown): void {
  s.outbox_.entries_
    .filter(test)
    .forEach((entry) => settle(s, entry, code || (entry.sentOn_ ? 'timeout' : 'expired')));
}

/** Settles a request on this side. */
export function settle(s: Session, entry: Entry, code: string): void {
  remove(s, entry);
  emitSettled(s, entry.app_, { code });
}

function remove(s: Session, entry: Entry): void {
  const at = s.outbox_.entries_.indexOf(entry);
  if (at < 0) return;
  s.outbox_.entries_.splice(at, 1);
  if (!entry.app_) return;
  s.outbox_.requestCount_--;
  s.outbox_.requestBytes_ -= entry.bytes_;
}
