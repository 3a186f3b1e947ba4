/**
 * Handlers that share a channel: the session has one subscription to it, and each handler a place of its own.
 *
 * A handler that begins elsewhere makes the session begin again there, one after the other. What comes then may have been
 * handed to others before; each gets what follows its own place, and where the session stands beyond it, the session goes
 * back for it. So none is handed anything twice, and none passes over anything without a gap.
 */

import { placeOf } from './entering.js';
import { TautlineError } from './error.js';
import type { Subscription, SubscriptionHandlers } from './options.js';
import type { Cursor, Input, Output, ReadFrom } from './vocabulary.js';

/** An output about one channel. */
export type ChannelOutput = Extract<Output, { channel: string }>;
type HandlerName = 'onPublication' | 'onGap' | 'onSubscribed' | 'onPresence' | 'onUnsubscribed';

/** One handler, or several that came as one. */
interface Listener {
  handlers_: SubscriptionHandlers;
  /** Where it begins. */
  from_: ReadFrom | undefined;
  /** The session is told of it, when its turn comes. */
  asked_?: boolean;
  /** The session was told of it. What came before that belongs to others. */
  joined_?: boolean;
  /** The last publication that was handed to it; none before it was confirmed. */
  place_?: Cursor;
  /** The connection on which it was last told that it is confirmed. */
  toldOn_?: number;
  /** The app has ended it: it hears nothing more, whatever is under way. */
  ended_?: boolean;
}

/** All channels of a line, and who listens to them. */
export interface Sharing {
  add_(channel: string, handlers: SubscriptionHandlers): Subscription;
  /** For the life of the line: in the own channel of whichever user is logged in. */
  inbox_(handlers: SubscriptionHandlers): Pick<Subscription, 'unsubscribe'>;
  /** Something happened in a channel. */
  tell_(output: ChannelOutput): void;
  /** A connection is open, of this user, or of a guest: everybody is confirmed anew. */
  welcome_(user: string | undefined): void;
  /** Nobody hears anything more. */
  clear_(): void;
}

/** `feed` takes an input, and calls back when it has its turn; `attempt` survives what a handler throws. */
export function sharing(feed: (input: Input, taken?: () => void) => void, attempt: <T>(act: (value: T) => void, value: T) => void): Sharing {
  /** Without a prototype: a channel may have any name. */
  let channels: { [channel: string]: Listener[] } = Object.create(null);
  /** Those in the user's own channel, whatever its name is. */
  let inbox: Listener[] = [];
  /** Its name, where it is known. */
  let own: string | undefined;
  let connection = 0;

  /** Keeps those in a channel who pass the test, and asks for those whose turn it is now. True where there is nobody. */
  function keep(channel: string, test: (it: Listener) => unknown): boolean {
    const kept = (channels[channel] = channels[channel]!.filter(test));
    if (!kept.length) delete channels[channel];
    join(channel);
    return !kept.length;
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
      waits = waits || !it.place_;
    });
  }

  function call(listeners: Listener[], name: HandlerName, value: unknown): void {
    listeners.forEach((it) => {
      // An earlier one may have ended it.
      if (!it.ended_ && it.handlers_[name]) attempt((told) => it.handlers_[name]!(told as never), value);
    });
  }

  function tell(output: ChannelOutput): void {
    const { channel, type } = output;
    const joined = (channels[channel] || []).filter(({ joined_ }) => joined_);
    if (type === 'subscribed') return subscribed(joined, output);
    let told = joined;
    let name: HandlerName = 'onPresence';
    let value: unknown = output;
    if (type === 'publication') {
      const { epoch, offset, at } = output;
      name = 'onPublication';
      told = move({ epoch, offset, at }, ({ place_ }) => place_ && place_.epoch === epoch && place_.offset + 1 === offset);
    } else if (type === 'gap') {
      const { cursor, reason, after } = output;
      name = 'onGap';
      told = move(cursor, ({ place_ }) => {
        // Who is behind is gone back for, and who is ahead has what is missing, unless the log is another one than it was.
        return place_ && (place_.epoch !== cursor.epoch || (reason === 'retention' ? place_.offset === after : reason !== 'new_epoch' && place_.offset >= after));
      });
    } else if (type === 'unsubscribed') {
      name = 'onUnsubscribed';
      value = new TautlineError(output);
      // Before they are told: a handler may subscribe again.
      if (joined.length) keep(channel, ({ joined_ }) => !joined_);
    }
    call(told, name, value);
    if (type === 'gap') goBack(channel, output.cursor);
    // Where nobody listens nobody has handled it: a user's own channel keeps it for the next device.
    if (type === 'publication' && told.length) feed({ type: 'handled', channel, epoch: output.epoch, offset: output.offset });

    /** Those who pass the test stand at `place` now. */
    function move(place: Cursor, test: (it: Listener) => unknown): Listener[] {
      const moved = joined.filter(test);
      moved.forEach((it) => {
        it.place_ = place;
      });
      return moved;
    }
  }

  function subscribed(joined: Listener[], output: Extract<ChannelOutput, { type: 'subscribed' }>): void {
    const { channel, cursor, recovering } = output;
    const head = cursor.offset + recovering;
    /** Who begins with what comes next does so behind what others have had already, and behind what one alone reads again. */
    let next = cursor;
    joined.forEach((it) => {
      if (!it.place_ && !isNow(it)) next = { epoch: cursor.epoch, offset: head };
      else if (isBefore(next, it.place_)) next = it.place_!;
    });
    joined.forEach((it) => {
      const place = (it.place_ = it.place_ || (isNow(it) ? next : cursor));
      if (it.toldOn_ === connection) return;
      it.toldOn_ = connection;
      const missed = place.epoch === cursor.epoch ? Math.max(0, head - place.offset) : recovering;
      call([it], 'onSubscribed', { type: 'subscribed', channel, cursor: place, recovering: missed });
    });
    goBack(channel, cursor);
    join(channel);
  }

  /** Where somebody stands before the session, it begins again from there. */
  function goBack(channel: string, stand: Cursor): void {
    let from = stand;
    (channels[channel] || []).forEach(({ place_ }) => {
      if (isBefore(place_, from)) from = place_!;
    });
    if (from !== stand) feed({ type: 'subscribe', channel, from });
  }

  function enter(channel: string, it: Listener): void {
    (channels[channel] = channels[channel] || []).push(it);
    join(channel);
  }

  function leave(channel: string | undefined, it: Listener): void {
    it.ended_ = true;
    if (isIn(channel, it) && keep(channel!, (other) => other !== it)) feed({ type: 'unsubscribe', channel: channel! });
  }

  function isIn(channel: string | undefined, it: Listener): boolean {
    return (channels[channel!] || []).indexOf(it) >= 0;
  }

  return {
    add_(channel, handlers) {
      const it: Listener = { handlers_: handlers, from_: placeOf(handlers.from) };
      enter(channel, it);
      return { channel, unsubscribe: () => leave(channel, it) };
    },
    inbox_(handlers) {
      const it: Listener = { handlers_: handlers, from_: 'acked' };
      inbox.push(it);
      if (own) enter(own, it);
      return {
        unsubscribe() {
          inbox = inbox.filter((other) => other !== it);
          leave(own, it);
        },
      };
    },
    tell_: tell,
    welcome_(user) {
      const before = own;
      own = user && 'user:' + user;
      connection++;
      // The one of another user, which the gateway refuses from now on.
      if (own !== before && channels[before!]) keep(before!, (it) => inbox.indexOf(it) < 0);
      if (!own) return;
      // At first, and where nobody else has asked for it, the session begins it by itself, from `acked`.
      const alone = !channels[own] && connection === 1;
      inbox.forEach((it) => {
        if (isIn(own, it)) return;
        it.asked_ = it.joined_ = alone;
        it.place_ = undefined;
        enter(own!, it);
      });
    },
    clear_() {
      Object.keys(channels).forEach((channel) => {
        channels[channel]!.forEach((it) => {
          it.ended_ = true;
        });
      });
      channels = Object.create(null);
      inbox = [];
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
