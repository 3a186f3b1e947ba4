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
import type { Cursor, Input, Output } from './vocabulary.js';

/** An output about one channel. */
export type ChannelOutput = Extract<Output, { channel: string }>;
type HandlerName = 'onPublication' | 'onGap' | 'onSubscribed' | 'onPresence' | 'onUnsubscribed';

/** One handler, or several that came as one. */
interface Listener {
  handlers_: SubscriptionHandlers;
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
  /** Something happened in a channel. */
  tell_(output: ChannelOutput): void;
  /** A connection is open: everybody is confirmed anew. */
  welcome_(): void;
  /** Nobody hears anything more. */
  clear_(): void;
}

/** `feed` takes an input, and calls back when it has its turn; `attempt` survives what a handler throws. */
export function sharing(feed: (input: Input, taken?: () => void) => void, attempt: <T>(act: (value: T) => void, value: T) => void): Sharing {
  /** Without a prototype: a channel may have any name. */
  let channels: { [channel: string]: Listener[] } = Object.create(null);
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
        feed({ type: 'subscribe', channel, from: placeOf(it.handlers_.from) }, () => {
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

  return {
    add_(channel, handlers) {
      const it: Listener = { handlers_: handlers };
      (channels[channel] = channels[channel] || []).push(it);
      join(channel);
      return {
        channel,
        unsubscribe() {
          it.ended_ = true;
          if ((channels[channel] || []).indexOf(it) >= 0 && keep(channel, (other) => other !== it)) feed({ type: 'unsubscribe', channel });
        },
      };
    },
    tell_: tell,
    welcome_() {
      connection++;
    },
    clear_() {
      Object.keys(channels).forEach((channel) => {
        channels[channel]!.forEach((it) => {
          it.ended_ = true;
        });
      });
      channels = Object.create(null);
    },
  };
}

/** True where both stand in the same log, and `a` before `b`. */
function isBefore(a: Cursor | undefined, b: Cursor | undefined): boolean | undefined {
  return a && b && a.epoch === b.epoch && a.offset < b.offset;
}

/** True of those who begin with what is published from now on, and so wherever the session stands. */
function isNow({ handlers_ }: Listener): boolean {
  return (handlers_.from || 'now') === 'now';
}
