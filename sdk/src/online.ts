/** What is said on an open line: packets in, requests out, subscriptions (protocol, sections 4 and 5). */

import { updateReport, ping, received, seenMark } from './heartbeat.js';
import { bye, drop } from './disconnect.js';
import { onChallenge, connect, forgetAuth } from './connect.js';
import {
  openOutbox,
  nextToSend,
  pushRequest,
  pushUnsubscribe,
  seenOf,
  settleAll,
  takeReplied,
} from './outbox.js';
import { emit, isOnline, queuePacket, setState, emitSettled } from './outputs.js';
import { beginRefresh, refreshed } from './refresh.js';
import type { Session } from './session.js';
import * as subscriptions from './subscriptions.js';
import type { Subscribed, Subscription } from './subscriptions.js';
import type { PresenceOutput, ReadFrom, RequestError, RequestInput } from './types.js';

interface Welcome {
  session: string;
  ticket: string;
  resumed: boolean;
  user?: string;
  auth_expires_at?: number;
  requests_seen?: number;
  ping_ms: number;
  pong_ms: number;
  max_message_bytes: number;
  now: number;
  node: string;
  channels?: { [channel: string]: Subscribed & { error?: RequestError } };
  subs?: string[];
}

/** A message came: packets, one a line. */
export function onSocketMessage(s: Session, { socket, text }: { socket: number; text: string }): void {
  text.split('\n').forEach((line) => {
    // A packet may end the line; what follows it in the same message is of no more interest.
    if (!line.trim() || s.connection_.socket_ !== socket) return;
    try {
      const { read_, graft_ } = s.options_;
      const packet = JSON.parse(line, read_);
      const verbs = Object.keys(packet).filter((key) => !/^(id|seen|again)$/.test(key));
      const verb = verbs[0]!;
      // What is no packet throws here or in what follows: all of it ends the line. Lists and texts have keys, too.
      if (
        verbs.length !== 1 ||
        line.trim()[0] !== '{' ||
        (verb === 'bye' && typeof packet.bye.code !== 'string')
      )
        throw 0;
      if (graft_) graft_(packet, line);
      onPacket(s, verb, packet[verb] as never, packet.id);
    } catch (_) {
      drop(s, 'protocol_error');
    }
  });
}

/** `body` is whatever came under the verb. */
function onPacket(s: Session, verb: string, body: never, id: number | undefined): void {
  const greeting = s.connection_.stage_ === 'greeting';
  received(s, verb);
  if (verb === 'bye') return bye(s, id, body);
  if (greeting && verb === 'welcome') return welcome(s, body);
  if (greeting && verb === 'challenge') return onChallenge(s);
  if (!isOnline(s)) return;
  if (verb === 'ok') reply(s, id!, body);
  else if (verb === 'error') reply(s, id!, undefined, body);
  else if (verb === 'pub') subscriptions.publication(s, body);
  else if (verb === 'gap') subscriptions.gap(s, body);
  else if (verb === 'unsubscribed')
    subscriptions.unsubscribed(s, (body as { channel: string }).channel, body);
  else if (verb === 'ticket') s.identity_.ticket_ = (body as { ticket: string }).ticket;
  else if (/^(join|away|back|leave)$/.test(verb)) {
    const change: PresenceOutput = body;
    change.type = 'presence';
    change.kind = verb as PresenceOutput['kind'];
    if (subscriptions.confirmedSubscription(s, change.channel)) emit(s, change);
  }
}

function welcome(s: Session, body: Welcome): void {
  const { user, resumed } = body;
  const offlineMs = s.identity_.firstDrop_ ? s.nowMs_ - s.identity_.downSinceMs_ : 0;
  s.connection_.stage_ = 'online';
  s.connection_.onlineSinceMs_ = s.activeMs_ = s.heartbeat_.lastSentMs_ = s.nowMs_;
  s.connection_.messageBytesMax_ = body.max_message_bytes;
  s.heartbeat_.pingMs_ = body.ping_ms;
  s.heartbeat_.pongMs_ = body.pong_ms;
  s.heartbeat_.reportSinceMs_ = Infinity;
  s.heartbeat_.repliesUnreported_ = s.heartbeat_.unanswered_ = 0;
  if (!resumed) s.heartbeat_.seenReported_ = 0;
  forgetAuth(s);
  s.identity_.ticket_ = (body as { ticket: string }).ticket;
  s.identity_.renew_ = s.identity_.takeoverRetried_ = false;
  beginRefresh(s, body.now, body.auth_expires_at);
  // Whatever the host says.
  s.backoff_.offlineMs_ = 0;
  s.identity_.firstDrop_ = undefined;
  subscriptions.openSubscriptions(s, user && 'user:' + user);
  emit(s, {
    type: 'welcome',
    session: body.session,
    user,
    resumed,
    node: body.node,
    now: body.now,
    offline_ms: offlineMs,
  });
  setState(s, 'online');
  openOutbox(s, resumed, body.requests_seen || 0);
  const channels = body.channels || {};
  (body.subs || []).forEach((channel) => {
    // What the login subscribes is there without being asked for.
    if ((channels[channel] || ({} as Subscribed)).epoch && !s.subscriptions_[channel])
      s.subscriptions_[channel] = { from_: 'acked', acks_: true, byServer_: true };
  });
  subscriptions.eachChannel(s.subscriptions_, (it, channel) => {
    // Not just `in`: a channel may be called as what every object has.
    const at = channels[channel] || ({} as Subscribed & { error?: RequestError });
    // Named, but not for what the hello said: it did not fit, or the app left behind the hello and came again.
    if (!subscriptions.isAnswered(it)) subscriptions.requestSubscribe(s, channel, true);
    else if (at.error) subscriptions.refuse(s, channel, at.error);
    else if (at.epoch) subscriptions.confirm(s, channel, at);
    else subscriptions.requestSubscribe(s, channel, true);
  });
  // What was unsubscribed behind the hello is still subscribed on the server.
  subscriptions.eachChannel(channels, ({ epoch }, channel) => {
    if (!s.subscriptions_[channel] && epoch) pushUnsubscribe(s, channel);
  });
}

function reply(s: Session, id: number, ok?: unknown, error?: RequestError): void {
  s.heartbeat_.repliesUnreported_++;
  s.activeMs_ = s.nowMs_;
  const entry = takeReplied(s, id);
  if (!entry) return;
  const channel = entry.channel_!;
  const it = s.subscriptions_[channel];
  emitSettled(s, entry.app_, error, ok);
  refreshed(s, entry, ok, error);
  if (entry.leaves_) subscriptions.finishUnsubscribe(s, entry.leaves_);
  if (!it || it.asked_ !== entry) return;
  if (error) subscriptions.refuse(s, channel, error);
  else if (it.confirmedOn_ !== s.connection_.socket_) subscriptions.confirm(s, channel, ok as Subscribed);
}

/** A `bye` named the request that it is about. */
export function failRequest(s: Session, id: number, error: RequestError): void {
  const { app_, channel_ } = takeReplied(s, id) || {};
  emitSettled(s, app_, error);
  subscriptions.endSubscription(s, channel_!, error);
}

/** The app needs the line. */
function requestConnection(s: Session): void {
  if (s.goal_ === 'idle') connect(s);
  s.activeMs_ = s.nowMs_;
}

/** The app asks for something. */
export function request(s: Session, input: RequestInput): void {
  requestConnection(s);
  pushRequest(s, input);
}

/** The app no longer waits. */
export function cancel(s: Session, { request }: { request: number }): void {
  settleAll(s, 'cancelled', ({ app_ }) => app_ && app_.request === request);
}

/**
 * The app wants a channel. One that it has already is told of again, or, from anywhere but `now`, begins again there: what is
 * output then may have been output before.
 */
export function subscribe(
  s: Session,
  { channel, from }: { channel: string; from?: ReadFrom | undefined },
): void {
  const it = s.subscriptions_[channel];
  const { own_, byServer_, acks_, handled_, ackWaits_, confirmedOn_, leaving_ } =
    it || ({} as Partial<Subscription>);
  requestConnection(s);
  if (it && !leaving_ && (from || 'now') === 'now') {
    it.wanted_ = true;
    if (confirmedOn_ === s.connection_.socket_)
      subscriptions.confirm(s, channel, { recovering: 0 } as Subscribed);
    return;
  }
  // What lies behind the new start is not acknowledged any more, as far as the server can see.
  if (ackWaits_ && isOnline(s) && confirmedOn_ === s.connection_.socket_) ping(s);
  s.subscriptions_[channel] = {
    from_: from || 'now',
    own_,
    byServer_: leaving_ ? undefined : byServer_,
    wanted_: true,
    acks_: (acks_ && !leaving_) || from === 'acked',
    handled_,
    ackWaits_: it && it.ackWaits_,
  };
  if (isOnline(s)) subscriptions.requestSubscribe(s, channel, false);
}

/** The app does not want a channel any more. */
export function unsubscribe(s: Session, { channel }: { channel: string }): void {
  const it = s.subscriptions_[channel];
  if (!it || it.own_ || it.leaving_) return;
  s.activeMs_ = s.nowMs_;
  if (it.handled_) it.leaving_ = true;
  else delete s.subscriptions_[channel];
  // Without a connection nothing need be said: the next hello does not name the channel, or leaves it then.
  if (isOnline(s)) subscriptions.leave(s, channel);
}

/** Sends what may be sent, and reports what must not wait. Called after every input while online. */
export function pump(s: Session): void {
  for (let entry = nextToSend(s); entry; entry = nextToSend(s)) {
    const seen = seenOf(s);
    const again = entry.id_ ? '"again":true,' : '';
    entry.id_ = entry.id_ || s.outbox_.nextId_++;
    entry.sentOn_ = s.connection_.socket_;
    queuePacket(
      s,
      entry.verb_,
      entry.body_,
      '"id":' + entry.id_ + ',' + (seen > s.heartbeat_.seenReported_ ? seenMark(s, seen) : '') + again,
    );
  }
  updateReport(s);
}
