/** The channels that the app wants, and how far it has read each (protocol, section 5). */

import { utf8Length } from './bytes.js';
import { ping } from './heartbeat.js';
import { pushSubscribe, pushUnsubscribe, type Entry } from './outbox.js';
import { emit, isOnline } from './outputs.js';
import { retryDelayMs } from './retry.js';
import type { Session } from './session.js';
import type { Cursor, GapOutput, PublicationOutput, ReadFrom, RequestError } from './types.js';

/** What a hello holds besides its cursors, taken generously. Bytes. */
const HELLO_REST_BYTES = 16384;

/** Cursors by channel. */
export interface Cursors {
  [channel: string]: Cursor;
}

/** One channel. */
export interface Subscription {
  from_: ReadFrom;
  /** The last publication handed over. */
  cursor_?: Cursor;
  /** The socket that it was last confirmed on. Since the first time it has a cursor, by which it is resumed. */
  confirmedOn_?: number;
  /** The last `subscribe`; under way while it is in the outbox. */
  asked_?: Entry;
  /** The last hello named its cursor: what the welcome says of the channel is the answer. */
  inHello_?: boolean;
  /** The user's own channel, which the gateway subscribes. */
  own_?: boolean | undefined;
  /** The gateway has subscribed it by itself. */
  byServer_?: true | undefined;
  /** The app has asked for it. */
  wanted_?: true;
  /** Refused for now: when to ask again, and how often in a row. */
  retryAtMs_?: number | undefined;
  refusals_?: number;
  /** The server wants to know how far the app has come: somebody subscribed from `acked`. */
  acks_?: boolean | undefined;
  /** The last publication that the app's handler has returned from, where the server wants to know. */
  handled_?: Cursor | undefined;
  ackWaits_?: boolean | undefined;
  /** The app has unsubscribed; it stays until the server knows that, and before it what was handled. */
  leaving_?: boolean;
  /** Where the log stood when it was confirmed last. */
  head_?: Cursor;
}

/** What the server says of a channel that is subscribed. */
export interface Subscribed extends Cursor {
  recovering: number;
}

/** Calls `visit` with each channel, in the order of their names. */
export function eachChannel<T>(
  channels: { [channel: string]: T },
  visit: (it: T, channel: string) => void,
): void {
  Object.keys(channels)
    .sort()
    .forEach((channel) => visit(channels[channel]!, channel));
}

/** A welcome says whose session it is: the own channel is there without being asked for. */
export function openSubscriptions(s: Session, own: string | undefined): void {
  if (own && !s.subscriptions_[own]) s.subscriptions_[own] = { from_: 'acked', acks_: true };
  eachChannel(s.subscriptions_, (subscription, channel) => {
    subscription.own_ = own === channel;
    subscription.ackWaits_ = !!subscription.handled_;
    subscription.retryAtMs_ = undefined;
    subscription.refusals_ = 0;
  });
}

/**
 * The cursors for a hello that resumes, as far as they fit: that of the user's own channel first, since the gateway
 * subscribes it in any case. The rest is subscribed to after the welcome.
 */
export function helloCursors(s: Session): Cursors {
  const cursors: Cursors = Object.create(null);
  let room = s.identity_.ticket_ ? s.options_.hello_bytes_max - HELLO_REST_BYTES : 0;
  [true, false].forEach((own) => {
    eachChannel(s.subscriptions_, (it, channel) => {
      if (!it.own_ === own) return;
      it.inHello_ = false;
      if (!it.confirmedOn_ || room < 0) return;
      // Twice: a quote or a backslash takes two bytes in JSON.
      room -= 2 * utf8Length(channel + it.cursor_!.epoch) + 80;
      if (room < 0) return;
      it.inHello_ = true;
      cursors[channel] = it.cursor_!;
    });
  });
  return cursors;
}

/** True where what a welcome says of the channel answers what the hello asked, or what the gateway does unasked. */
export function isAnswered(it: Subscription): unknown {
  return it.inHello_ || (isUnasked(it) && !it.cursor_ && it.from_ === 'acked');
}

/** True where the gateway has subscribed it, and the app has not asked for it. */
export function isUnasked({ own_, byServer_, wanted_ }: Subscription): unknown {
  return own_ || (byServer_ && !wanted_);
}

/** Sends a `subscribe`, unless one is under way: from the cursor once there is one; `early`, before requests that wait. */
export function requestSubscribe(s: Session, channel: string, early: boolean): void {
  const it = s.subscriptions_[channel]!;
  it.retryAtMs_ = undefined;
  if (s.outbox_.entries_.indexOf(it.asked_!) < 0)
    it.asked_ = pushSubscribe(s, channel, it.cursor_ || it.from_, early);
}

/** The server has confirmed it. */
export function confirm(s: Session, channel: string, log: Subscribed): void {
  const { offset, recovering } = log;
  const it = s.subscriptions_[channel]!;
  it.confirmedOn_ = s.connection_.socket_;
  it.refusals_ = 0;
  if (log.epoch) it.head_ = log;
  if (!it.cursor_) {
    // Without a cursor it stands before what is about to follow; `at` belongs to the log's last entry.
    const stand = {
      epoch: log.epoch,
      offset: Math.max(0, offset - recovering),
      at: recovering || !offset ? undefined : log.at,
    };
    it.cursor_ = typeof it.from_ === 'object' ? it.from_ : (stand as Cursor);
  }
  if (it.leaving_) return leave(s, channel);
  emit(s, {
    type: 'subscribed',
    channel,
    cursor: it.cursor_,
    recovering,
    by_server: it.wanted_ ? undefined : it.byServer_,
  });
}

/** The server refuses it, or ends it: for good, or for now. Then it is asked for again later, and the app does not hear of it. */
export function refuse(s: Session, channel: string, error: RequestError): void {
  const { code, retry_after_ms } = error;
  const it = s.subscriptions_[channel];
  if (!it || !(retry_after_ms || /^(unavailable|overloaded|rate_limited)$/.test(code)))
    return endSubscription(s, channel, error);
  it.confirmedOn_ = it.confirmedOn_ && -1;
  it.refusals_ = (it.refusals_ || 0) + 1;
  it.retryAtMs_ = s.nowMs_ + retryDelayMs(s, it.refusals_, retry_after_ms);
}

/** When a channel that was refused for now is asked for again. */
export function retryDeadline(s: Session): number {
  return Object.keys(isOnline(s) ? s.subscriptions_ : {}).reduce(
    (at, channel) => Math.min(at, s.subscriptions_[channel]!.retryAtMs_ || Infinity),
    Infinity,
  );
}

/** Asks for those whose time has come. */
export function retrySubscriptions(s: Session): void {
  if (isOnline(s))
    eachChannel(s.subscriptions_, ({ retryAtMs_ }, channel) => {
      if (retryAtMs_! <= s.nowMs_) requestSubscribe(s, channel, false);
    });
}

/** It is over: refused for good, or ended by the server. */
export function endSubscription(s: Session, channel: string, error: RequestError): void {
  const it = s.subscriptions_[channel];
  if (!it) return;
  delete s.subscriptions_[channel];
  if (it.leaving_) return;
  emit(s, { type: 'unsubscribed', channel, code: error.code, message: error.message });
}

/**
 * The server has ended it. What it says while a `subscribe` is under way, or was not answered on this connection, is about a
 * subscription before that one.
 */
export function unsubscribed(s: Session, channel: string, error: RequestError): void {
  const { confirmedOn_, asked_ } = s.subscriptions_[channel] || ({} as Partial<Subscription>);
  if (confirmedOn_ === s.connection_.socket_ && s.outbox_.entries_.indexOf(asked_!) < 0)
    refuse(s, channel, error);
}

/**
 * Tells the server that a channel is unsubscribed; and before it, where the server wants to know, what the app has handled.
 * That it takes of subscriptions alone.
 */
export function leave(s: Session, channel: string): void {
  const it = s.subscriptions_[channel];
  if (it && it.confirmedOn_ !== s.connection_.socket_) return;
  if (it && it.ackWaits_) ping(s);
  pushUnsubscribe(s, channel).leaves_ = it;
}

/** An `unsubscribe` was answered: `it` is over, unless another one has taken its place. */
export function finishUnsubscribe(s: Session, it: Subscription): void {
  eachChannel(s.subscriptions_, (other, channel) => {
    if (other === it) delete s.subscriptions_[channel];
  });
}

/** The subscription that something was said of; nothing where it is of another time, or the app has left it. */
export function confirmedSubscription(s: Session, channel: string): Subscription | undefined {
  const it = s.subscriptions_[channel];
  return it && it.confirmedOn_ === s.connection_.socket_ && !it.leaving_ ? it : undefined;
}

/** A publication came: hands it over where it is the next one, and asks again where something before it is missing. */
export function publication(s: Session, body: PublicationOutput): void {
  const { channel, offset } = body;
  const it = confirmedSubscription(s, channel);
  if (!it || !(offset > it.cursor_!.offset)) return;
  const { epoch, offset: last } = it.cursor_!;
  if (offset > last + 1) return requestSubscribe(s, channel, false);
  it.cursor_ = { epoch, offset, at: body.at };
  body.type = 'publication';
  body.epoch = epoch;
  body.redelivered = false;
  emit(s, body);
}

/** The server could not prove what lay between. */
export function gap(s: Session, body: GapOutput): void {
  const it = confirmedSubscription(s, body.channel);
  if (!it) return;
  if (it.handled_ && it.handled_.epoch !== body.cursor.epoch) {
    it.handled_ = undefined;
    it.ackWaits_ = false;
  }
  it.cursor_ = body.cursor;
  body.type = 'gap';
  emit(s, body);
}

/** The app's handler for a publication has returned. */
export function handled(
  s: Session,
  { channel, epoch, offset }: { channel: string; epoch: string; offset: number },
): void {
  const it = s.subscriptions_[channel];
  if (!it || !(it.own_ || it.acks_)) return;
  const { cursor_, handled_ } = it;
  if (!cursor_ || cursor_.epoch !== epoch || offset > cursor_.offset) return;
  if (handled_ && handled_.epoch === epoch && offset <= handled_.offset) return;
  it.handled_ = { epoch, offset };
  it.ackWaits_ = true;
}

/** The acks that wait for a ping, where there are any. The server takes those of subscriptions alone. */
export function acksOf(s: Session): Cursors | undefined {
  let acks: Cursors | undefined;
  eachChannel(s.subscriptions_, ({ ackWaits_, handled_, confirmedOn_ }, channel) => {
    if (!ackWaits_ || confirmedOn_ !== s.connection_.socket_) return;
    acks = acks || Object.create(null);
    acks![channel] = handled_!;
  });
  return acks;
}
