/**
 * Handlers that share a channel: the session has one subscription to it, and each handler a place of its own.
 *
 * A handler that begins elsewhere makes the session begin again there, one after the other. What comes then may have been
 * handed to others before; each gets what follows its own place, and where the session stands beyond it, the session goes
 * back for it. So none is handed anything twice, and none passes over anything without a gap.
 */

import { startOf, wholeOf } from './inputs.js';
import { TautlineError } from './error.js';
import {
  handlerQueue,
  type Attempt,
  type OnHandled,
  type HandlerName,
  type Listener,
} from './handler-queue.js';
import type { Host } from './host.js';
import type { Subscription, SubscriptionHandlers } from './options.js';
import type { Session } from './session.js';
import type { Subscription as Place } from './subscriptions.js';
import type { Cursor, Input, Output, ReadFrom, SubscribedOutput, WelcomeOutput } from './types.js';

/** An output about one channel. */
export type ChannelOutput = Extract<Output, { channel: string }>;

/** Options of handlers, with their defaults: how long a promise is waited for, and how many events wait for it at most. */
export const LISTENER_DEFAULTS = { handler_timeout_ms: 30000, subscription_events_max: 256 };

/** All channels of a line, and who listens to them. */
export interface Listeners {
  subscribe_(channel: string, handlers: SubscriptionHandlers): Subscription;
  /** For the life of the line: in the own channel of whichever user is logged in. */
  inbox_(handlers: SubscriptionHandlers): Pick<Subscription, 'unsubscribe'>;
  /** Something happened in a channel. */
  dispatch_(output: ChannelOutput): void;
  /** A connection is open, of this user, or of a guest: everybody is confirmed anew. */
  welcome_(welcome: WelcomeOutput): void;
  /** Another user logs in: all subscriptions end with `error`, and an inbox begins anew. Without it, nobody hears anything more. */
  reset_(error?: TautlineError): void;
}

/**
 * `feed` takes an input, and calls back when it has its turn; `attempt` survives what a handler throws. The session is only
 * read: its `identity_` is another one when it is another user's. `announce` tells of a channel that the gateway has subscribed.
 */
export function createListeners(
  feed: (input: Input, taken?: () => void) => void,
  attempt: Attempt,
  session: Pick<Session, 'identity_' | 'subscriptions_'>,
  setTimer: Host['setTimer'],
  announce: (output: SubscribedOutput) => void,
  options: Partial<typeof LISTENER_DEFAULTS>,
): Listeners {
  const timeoutMs = wholeOf(options.handler_timeout_ms, LISTENER_DEFAULTS.handler_timeout_ms);
  const queueMax = wholeOf(options.subscription_events_max, LISTENER_DEFAULTS.subscription_events_max);
  /** Without a prototype: a channel may have any name. */
  let channels: { [channel: string]: Listener[] } = Object.create(null);
  /** Those in the user's own channel, whatever its name is. */
  let inbox: Listener[] = [];
  /** Its name, where it is known. */
  let own: string | undefined;
  let connection = 0;
  /** The session's own id: what its line published without an echo is not for its handlers. */
  let me: string | undefined;
  /** The channel that is being announced: who joins it meanwhile begins where the session does. */
  let announced: string | undefined;
  const call = handlerQueue(attempt, setTimer, timeoutMs, (it: Listener) => {
    const { channel_: channel, position_: from, behind_ } = it;
    it.behind_ = undefined;
    // It had no room for what followed: the session goes back for it.
    if (behind_ && isIn(channel, it)) feed({ type: 'subscribe', channel, from });
    unsubscribeIfLast(it);
  });

  /** Keeps those in a channel who pass the test, and asks for those whose turn it is now. */
  function keep(channel: string, test: (it: Listener) => unknown): void {
    const kept = (channels[channel] = channels[channel]!.filter(test));
    if (!kept.length) delete channels[channel];
    join(channel);
  }

  /**
   * Tells the session of those whom it does not know: all that begin with whatever comes next, and of those with a start of
   * their own the first, when nobody waits to be confirmed. Another start before that would take away the first one's place.
   */
  function join(channel: string): void {
    let waits: boolean | undefined;
    (channels[channel] || []).forEach((it) => {
      if (!it.asked_ && (!waits || isNow(it))) {
        it.asked_ = true;
        feed({ type: 'subscribe', channel, from: it.from_ }, () => {
          it.joined_ = true;
        });
      }
      waits = waits || !it.position_;
    });
  }

  function tell(output: ChannelOutput): void {
    const { channel, type } = output;
    const { identity_ } = session;
    if (type === 'subscribed' && output.by_server) {
      announced = channel;
      announce(output);
      announced = undefined;
    }
    const joined = (channels[channel] || []).filter(({ joined_ }) => joined_);
    if (type === 'subscribed') return subscribed(joined, output);
    let told = joined;
    let name: HandlerName = 'onPresence';
    let value: unknown = output;
    if (type === 'publication') {
      const { epoch, offset, at, tags } = output;
      name = tags && me && tags.$exclude === me ? '' : 'onPublication';
      told = move(
        { epoch, offset, at },
        ({ position_ }) => position_ && position_.epoch === epoch && position_.offset + 1 === offset,
      );
    } else if (type === 'gap') {
      const { cursor, reason, after } = output;
      name = 'onGap';
      told = move(cursor, ({ position_ }) => {
        // Who is behind is gone back for, and who is ahead has what is missing, unless the log is another one than it was.
        return (
          position_ &&
          (position_.epoch !== cursor.epoch ||
            (reason === 'retention'
              ? position_.offset === after
              : reason !== 'new_epoch' && position_.offset >= after))
        );
      });
    } else if (type === 'unsubscribed') {
      name = 'onUnsubscribed';
      value = new TautlineError(output);
      // Before they are told: a handler may subscribe again.
      if (joined.length) keep(channel, ({ joined_ }) => !joined_);
    }
    let left = told.length;
    let failed: boolean | undefined;
    let worked: boolean | undefined;
    told.forEach((it) => {
      enqueue(it, name, value, (its) => {
        if (its) worked = true;
        else if (its === false) failed = true;
        // Where nobody listens nobody has handled it: a user's own channel keeps it for the next device.
        if (!--left && worked && !failed && type === 'publication' && identity_ === session.identity_)
          feed({ type: 'handled', channel, epoch: output.epoch, offset: output.offset });
      });
    });
    if (type === 'gap') rewind(channel, output.cursor);

    /** Those who pass the test stand at `place` now. */
    function move(place: Cursor, test: (it: Listener) => unknown): Listener[] {
      return joined.filter((it) => {
        if (!test(it)) return false;
        it.behind_ = it.behind_ || isFull(it);
        if (!it.behind_) it.position_ = place;
        return !it.behind_;
      });
    }
  }

  function subscribed(joined: Listener[], output: Extract<ChannelOutput, { type: 'subscribed' }>): void {
    const { channel, cursor, recovering } = output;
    const head = cursor.offset + recovering;
    /** Who begins with what comes next does so behind what others have had already, and behind what one alone reads again. */
    let next = cursor;
    joined.forEach((it) => {
      if (!it.position_ && !isNow(it)) next = { epoch: cursor.epoch, offset: head };
      else if (isBefore(next, it.position_)) next = it.position_!;
    });
    joined.forEach((it) => {
      const place = (it.position_ = it.position_ || (isNow(it) ? next : cursor));
      if (it.toldOn_ === connection) return;
      it.toldOn_ = connection;
      const missed = place.epoch === cursor.epoch ? Math.max(0, head - place.offset) : recovering;
      enqueue(it, 'onSubscribed', { type: 'subscribed', channel, cursor: place, recovering: missed });
    });
    rewind(channel, cursor);
    join(channel);
  }

  /** Where somebody stands before the session, or in a log that was, it begins again from there: the gateway tells the gap. */
  function rewind(channel: string, stand: Cursor): void {
    const listeners = channels[channel] || [];
    const { head_ } = session.subscriptions_[channel] || ({} as Partial<Place>);
    let from = stand;
    // Another start would take away the place of the one that waits for it. When that is confirmed, this is asked again.
    if (listeners.some((it) => it.asked_ && !it.position_ && !isNow(it))) return;
    listeners.forEach(({ position_, behind_ }) => {
      // Where the session stands in the old log, the gap is on its way.
      const isLost =
        position_ && position_.epoch !== stand.epoch && !(head_ && head_.epoch === position_.epoch);
      if (!behind_ && (isLost || isBefore(position_, from))) from = position_!;
    });
    if (from !== stand) feed({ type: 'subscribe', channel, from });
  }

  function isFull({ queue_ }: Listener): boolean {
    return queue_.length >= queueMax;
  }

  /**
   * Where there is no room, places do not move, and the rest is news that may be missed. Once a handler has let another user
   * log in, nobody has joined.
   */
  function enqueue(it: Listener, name: HandlerName, value: unknown, done?: OnHandled): void {
    if (it.joined_ && (!isFull(it) || name === 'onUnsubscribed')) call(it, name, value, done);
  }

  function listener(handlers_: SubscriptionHandlers, from_: ReadFrom | undefined): Listener {
    return { handlers_, from_, channel_: '', queue_: [] };
  }

  function addTo(channel: string, it: Listener): void {
    it.channel_ = channel;
    (channels[channel] = channels[channel] || []).push(it);
    join(channel);
  }

  function leave(it: Listener): void {
    it.ended_ = true;
    if (isIn(it.channel_, it)) {
      it.leaves_ = true;
      keep(it.channel_, (other) => other !== it);
    }
    // What its handler has handled is told first.
    if (!it.busy_) unsubscribeIfLast(it);
  }

  /** The session is told, where it was the last one in its channel. */
  function unsubscribeIfLast(it: Listener): void {
    if (it.leaves_ && !channels[it.channel_]) feed({ type: 'unsubscribe', channel: it.channel_ });
    it.leaves_ = false;
  }

  function isIn(channel: string, it: Listener): boolean {
    return (channels[channel] || []).indexOf(it) >= 0;
  }

  return {
    subscribe_(channel, handlers) {
      const it = listener(handlers, startOf(handlers.from));
      it.joined_ = announced === channel && isNow(it);
      addTo(channel, it);
      return { channel, unsubscribe: () => leave(it) };
    },
    inbox_(handlers) {
      const it = listener(handlers, 'acked');
      inbox.push(it);
      if (own) addTo(own, it);
      return {
        unsubscribe() {
          inbox = inbox.filter((other) => other !== it);
          leave(it);
        },
      };
    },
    dispatch_: tell,
    welcome_({ user, session }) {
      const before = own;
      me = session;
      own = user && 'user:' + user;
      connection++;
      // The one of another user, which the gateway refuses from now on.
      if (own !== before && channels[before!]) keep(before!, (it) => inbox.indexOf(it) < 0);
      if (!own) return;
      // At first, and where nobody else has asked for it, the session begins it by itself, from `acked`.
      const alone = !channels[own] && connection === 1;
      inbox.forEach((it) => {
        if (isIn(own!, it)) return;
        // What is another user's is for that user.
        if (own !== it.channel_) it.queue_ = [];
        it.asked_ = it.joined_ = alone;
        it.position_ = it.behind_ = it.toldOn_ = undefined;
        addTo(own!, it);
      });
    },
    reset_(error) {
      let all = inbox;
      Object.keys(channels).forEach((channel) => {
        all = all.concat(channels[channel]!);
      });
      channels = Object.create(null);
      own = announced = undefined;
      connection = 0;
      if (!error) inbox = [];
      all.forEach((it) => {
        it.joined_ = false;
        it.queue_ = [];
        if (it.release_) it.release_();
        // An inbox is that of the next user from now on.
        if (inbox.indexOf(it) >= 0) return;
        const ends = !error || !it.busy_;
        if (error) call(it, 'onUnsubscribed', error);
        // The one whose handler lets the user log in hears of it when that has returned.
        if (ends) it.ended_ = true;
      });
    },
  };
}

/** True where both stand in the same log, and `a` before `b`. */
function isBefore(a: Cursor | undefined, b: Cursor | undefined): boolean | undefined {
  return a && b && a.epoch === b.epoch && a.offset < b.offset;
}

/** True of those who begin with what is published from now on, and so wherever the session stands. */
function isNow({ from_ }: Listener): boolean {
  return (from_ || 'now') === 'now';
}
