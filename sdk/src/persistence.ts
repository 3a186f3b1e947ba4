/**
 * When what is written to the device (protocol, section 6, promise 6; `spec/client-session.md`, *Storage*).
 *
 * One rule: a fact is on the device before anybody else can know of it. An id before it is sent, an attempt before it is
 * said, that a request is settled before its reply is said to be seen. The rest may wait for `store_ms`.
 *
 * Made to cost lines without storage nothing: it wraps a session from outside, and reads its private parts.
 */

import { utf8Length } from './bytes.js';
import { startOf, wholeOf } from './inputs.js';
import { assign } from './assign.js';
import { add, newEntry, type Entry } from './outbox.js';
import { isOnline } from './outputs.js';
import type { Session } from './session.js';
import { parseStored, storedText, type StoredRequest } from './snapshot.js';
import { eachChannel, type Cursors, type Subscription } from './subscriptions.js';
import type { Cursor, Input, Now, Output, ReadFrom } from './types.js';

/** How long a restarted app has to subscribe again before the places of its former self are forgotten. Milliseconds. */
const CLAIM_MS = 60000;
/** What is stored besides requests, cursors and the ticket's own bytes, taken generously. */
const HEAD_BYTES = 1024;
/** What is stored of a request besides what it weighs in the outbox. */
const REQUEST_BYTES = 128;
/** 2⁵², the highest number that is stored. */
const NUMBER_MAX = 4503599627370496;
/** Takes no request back. */
const NOTHING: Input = { type: 'cancel', request: -1 };
/** Of what may be handed over again: up to where is not known yet. */
const UNKNOWN: Cursor = { epoch: '', offset: 0 };
/** A connection of the app's former self. */
const FORMER_SOCKET = -1;

/** How much is stored, and how soon. */
export interface PersistenceOptions {
  /** How long cursors and settled requests may wait to be written, in milliseconds. @default 1000 */
  store_ms?: number;
  /** What is stored at most, in bytes. What does not fit is left out. @default 196608: Alipay takes 200 KiB under one key */
  store_bytes_max?: number;
}

const STORE_MS = 1000;
const STORE_BYTES_MAX = 196608;

/** What else is told to a session that stores. */
export type PersistenceInput =
  /** There is storage, and this text was in it. The first input of all, else it is ignored. */
  | { type: 'restore'; stored: unknown }
  /** What `pollStore` gave could not be written. The session goes on without storage. */
  | { type: 'store_failed' };

/** A session that stores. */
export interface PersistentSession {
  handleInput(now: Now, input: Input | PersistenceInput): void;
  /** What to write, before `pollOutput` is drained: a text, `''` to remove what is there, or nothing to do. */
  pollStore_(): string | undefined;
}

/** Teaches a session to store. */
export function persist(s: Session, options: PersistenceOptions): PersistentSession {
  // Of the prototype, and so not shared with any other session.
  const { handleInput, pollTimeout } = s;
  const store_ms = wholeOf(options.store_ms, STORE_MS);
  const store_bytes_max = wholeOf(options.store_bytes_max, STORE_BYTES_MAX);
  /** It was begun, and has not failed. */
  let stores: boolean | undefined;
  let pending: string | undefined;
  /** Something was told since the last poll, and `hide` with it. */
  let told: boolean | undefined;
  let hides: boolean | undefined;
  /** The moment of the input. */
  let now: Now;
  /** What the last written text says: of requests, how many, and how many of those had not been sent. */
  let ticket: string | undefined;
  let attempt = 0;
  let nextId = 1;
  let count = 0;
  let unsent = 0;
  let mayRepeat = false;
  /** The `seen` that the server had been told by then. */
  let seen = 0;
  /** Since when that is out of date. */
  let staleSinceMs = Infinity;
  /** Where a restarted app goes on: the last publications that handlers have returned from. */
  const places: Cursors = Object.create(null);
  let placesMoved: boolean | undefined;
  /** A channel has its first place. */
  let placesBegun: boolean | undefined;
  /** Up to where publications may have been handed over before; nothing of it is known until it is confirmed. */
  const repeats: Partial<Cursors> = Object.create(null);
  /** Places of a destroyed app that somebody has claimed: whoever comes next begins there, too. */
  const claimed: Cursors = Object.create(null);
  /** Places of a destroyed app that nobody has claimed yet, and until when they may be. */
  let unclaimed: Cursors = {};
  let unclaimedUntilMs = 0;
  let unclaimedMayRepeat = false;

  function restore(text: unknown): void {
    const stored = parseStored(text);
    stores = true;
    if (!stored) return;
    const { own, by_server, requests, cursors } = stored;
    s.identity_.ticket_ = ticket = stored.ticket;
    s.identity_.attempt_ = attempt = stored.attempt || 0;
    count = requests.length;
    unsent = requests.filter(({ id }) => !id).length;
    mayRepeat = unclaimedMayRepeat = !!stored.may_repeat;
    s.outbox_.nextId_ = nextId = stored.next_id;
    unclaimed = cursors;
    unclaimedUntilMs = now.mono_ms + CLAIM_MS;
    if (own && cursors[own]) claim(own, 'acked').own_ = true;
    (by_server || []).forEach((channel) => {
      if (has(unclaimed, channel)) claim(channel, 'acked').byServer_ = true;
    });
    requests.forEach(restoreRequest);
    if (!s.outbox_.entries_.length) return;
    s.goal_ = 'up';
    s.backoff_.retryAtMs_ = s.backoff_.notBeforeMs_;
  }

  function restoreRequest(it: StoredRequest): void {
    const { request, verb, body, ttl } = it;
    const entry = newEntry(verb, body, it.json);
    // A clock that was set back lets nothing wait for longer than it was meant to.
    const asked = Math.min(it.asked_at, now.wall_ms);
    const leftMs = asked + ttl - now.wall_ms;
    entry.app_ = {
      type: 'request',
      request,
      verb,
      body,
      ttl_ms: ttl,
      idempotent: !!it.idempotent,
      volatile: !!it.volatile,
    };
    entry.expiresAtMs_ = now.mono_ms + leftMs;
    entry.id_ = entry.storedAs_ = it.id || 0;
    entry.askedAtMs_ = asked;
    if (it.sent) entry.sentOn_ = FORMER_SOCKET;
    const code = leftMs > 0 ? !add(s, entry) && 'overflow' : it.sent ? 'timeout' : 'expired';
    if (code) s.output_.outputs_.push({ type: 'settled', request, error: { code } });
  }

  /** Goes on where a destroyed app was. */
  function claim(channel: string, from: ReadFrom): Subscription {
    const place = (places[channel] = claimed[channel] = unclaimed[channel]!);
    const it = (s.subscriptions_[channel] = s.subscriptions_[channel] || ({} as Subscription));
    it.from_ = from;
    it.cursor_ = place;
    it.confirmedOn_ = FORMER_SOCKET;
    // The app may have been destroyed before this was reported.
    if (from === 'acked') it.handled_ = { epoch: place.epoch, offset: place.offset };
    it.acks_ = from === 'acked';
    if (unclaimedMayRepeat) repeats[channel] = UNKNOWN;
    delete unclaimed[channel];
    return it;
  }

  function forgetUnclaimed(): void {
    if (now.mono_ms >= unclaimedUntilMs) unclaimed = {};
  }

  /**
   * The app wants a channel: from where a destroyed app was in it, unless it names a cursor of its own. True where it is to
   * be claimed.
   */
  function claims(channel: string, from: ReadFrom | undefined): boolean {
    const it = s.subscriptions_[channel];
    if (it && !it.leaving_) return false;
    forgetUnclaimed();
    if (!has(unclaimed, channel)) return false;
    if (typeof from !== 'object') return true;
    delete unclaimed[channel];
    return false;
  }

  /** The app's handler for a publication has returned. */
  function handled(channel: string, epoch: string, offset: number): void {
    const { cursor_, leaving_ } = s.subscriptions_[channel] || ({} as Partial<Subscription>);
    const place = places[channel];
    if (!cursor_ || leaving_ || cursor_.epoch !== epoch || offset > cursor_.offset) return;
    if (place && place.epoch === epoch && offset <= place.offset) return;
    // Only of the last publication is it known when it was appended.
    places[channel] = cursor_.offset === offset ? cursor_ : { epoch, offset };
    placesMoved = true;
  }

  function left(channel: string): void {
    const it = s.subscriptions_[channel];
    if (it && !it.leaving_) return;
    if (places[channel]) placesMoved = true;
    delete places[channel];
    delete claimed[channel];
    delete repeats[channel];
  }

  /** What an input has led to. */
  function follow(output: Output): void {
    if (output.type === 'subscribed') {
      const { channel, cursor, recovering } = output;
      if (repeats[channel] === UNKNOWN)
        repeats[channel] = recovering ? s.subscriptions_[channel]!.head_! : undefined;
      if (places[channel]) return;
      places[channel] = cursor;
      placesBegun = true;
    } else if (output.type === 'publication') {
      const { channel, epoch, offset } = output;
      const last = repeats[channel];
      output.redelivered = !!last && last.epoch === epoch && offset <= last.offset;
      if (last && offset >= last.offset) repeats[channel] = undefined;
    } else if (output.type === 'unsubscribed') left(output.channel);
  }

  /** True where what is handed over next, or was handed over last, may come once more after a restart. */
  function mayRepeatNow(): boolean {
    return (
      isOnline(s) ||
      (unclaimedMayRepeat && Object.keys(unclaimed).length > 0) ||
      Object.keys(s.subscriptions_).some((channel) => {
        const { cursor_, leaving_ } = s.subscriptions_[channel]!;
        const { epoch, offset } = places[channel] || ({} as Partial<Cursor>);
        const handed = cursor_ || ({} as Partial<Cursor>);
        return repeats[channel] || (!leaving_ && (epoch !== handed.epoch || offset !== handed.offset));
      })
    );
  }

  /** Decides whether to write: once for all inputs that were told in one go. */
  function updateStored(): void {
    if (!stores) return;
    if (s.goal_ === 'closed') return fail();
    const repeat = mayRepeatNow();
    const lasting = s.outbox_.entries_.filter(isPersistent);
    const known = lasting.filter(({ storedAs_ }) => storedAs_ !== undefined);
    const must =
      s.identity_.ticket_ !== ticket ||
      s.identity_.attempt_ !== attempt ||
      lasting.some(({ storedAs_, id_ }) => storedAs_ !== id_) ||
      // The server ignores every id up to what it is told is settled: a restarted app must number above it.
      s.heartbeat_.seenReported_ >= nextId ||
      // The app was told that it was not sent, and so it must not be.
      known.filter(isUnsent).length < unsent ||
      // What is handed over next would be handed over again, unmarked, or passed over in silence.
      placesBegun ||
      (repeat && !mayRepeat);
    const stale = placesMoved || known.length < count || repeat !== mayRepeat;
    if (stale) staleSinceMs = Math.min(staleSinceMs, now.mono_ms);
    const hurries =
      hides || s.environment_.hiddenSinceMs_ < Infinity || seen !== (s.heartbeat_.seenReported_ || 0);
    if (must || staleSinceMs + store_ms <= now.mono_ms || (stale && hurries)) write(lasting, repeat);
  }

  function write(lasting: Entry[], repeat: boolean): void {
    const cursors: Cursors = Object.create(null);
    const requests: string[] = [];
    const byServer: string[] = [];
    let own: string | undefined;
    let room = store_bytes_max - HEAD_BYTES - utf8Length(s.identity_.ticket_ || '');
    forgetUnclaimed();
    // Places first: they are small, and without its place a channel would skip in silence.
    let fits = true;
    eachChannel(assign(assign(Object.create(null) as Cursors, unclaimed), places), (place, channel) => {
      const { own_, byServer_ } = s.subscriptions_[channel] || ({} as Partial<Subscription>);
      const bytes =
        2 * utf8Length(channel + place.epoch) + 80 + (byServer_ ? 2 * utf8Length(channel) + 3 : 0);
      if (own_ && places[channel]) own = channel;
      fits = fits && bytes <= room;
      if (!fits) return;
      room -= bytes;
      if (byServer_) byServer.push(channel);
      // Whatever a server said: nothing is written that would not be read.
      cursors[channel] = startOf(place)!;
    });
    lasting.forEach((entry) => {
      // A request is written with the input that made it.
      if (entry.storedAs_ === undefined) entry.askedAtMs_ = now.wall_ms;
      if (entry.storedAs_ !== entry.id_ || !entry.written_) entry.written_ = requestText(entry);
      // What does not fit counts as stored all the same: it goes on without, and `next_id` covers its id.
      entry.storedAs_ = entry.id_;
      const bytes = REQUEST_BYTES + (s.options_.graft_ ? utf8Length(entry.written_) : entry.bytes_);
      if (bytes > room) return;
      room -= bytes;
      requests.push(entry.written_);
    });
    ticket = s.identity_.ticket_;
    attempt = s.identity_.attempt_;
    nextId = s.outbox_.nextId_;
    count = lasting.length;
    unsent = lasting.filter(isUnsent).length;
    mayRepeat = repeat;
    seen = s.heartbeat_.seenReported_ || 0;
    staleSinceMs = Infinity;
    placesMoved = placesBegun = false;
    // A server may claim any number to be the highest attempt; what is stored must be readable.
    const readable = Math.min(attempt, NUMBER_MAX);
    pending = storedText(
      {
        ticket: ticket!,
        attempt: readable,
        next_id: s.outbox_.nextId_,
        may_repeat: repeat,
        own: own!,
        by_server: byServer.length ? byServer : undefined!,
        cursors,
      },
      requests,
    );
  }

  /** True where the device has it as not sent. */
  function isUnsent({ storedAs_ }: Entry): boolean {
    return storedAs_ === 0;
  }

  function requestText({ app_, id_, sentOn_, body_, askedAtMs_: asked_at }: Entry): string {
    const { request, verb, ttl_ms, idempotent, volatile } = app_!;
    const ttl = wholeOf(ttl_ms, s.options_.request_ttl_ms);
    const head = {
      request,
      verb,
      id: id_ || undefined,
      sent: !!sentOn_,
      asked_at: asked_at!,
      ttl,
      idempotent: !!idempotent,
      volatile: !!volatile,
    };
    return (
      '{"body":' + (s.options_.graft_ ? JSON.stringify(body_) : body_) + ',' + JSON.stringify(head).slice(1)
    );
  }

  /** Goes on without. The text that is there is older than what was said since: better none. */
  function fail(): void {
    if (stores) pending = '';
    stores = false;
  }

  s.handleInput = (moment, input: Input | PersistenceInput) => {
    // What the core does not know, it is not told: it takes what changes nothing, and does what follows.
    let passed = NOTHING;
    let acks: string | undefined;
    now = moment;
    if (input.type === 'restore') {
      if (!stores && s.goal_ === 'idle' && !s.connection_.socketsOpened_) restore(input.stored);
    } else if (input.type === 'store_failed') fail();
    // Also where storing has failed since: what was restored is good. The core is told a place to begin at, which is what it
    // says on an open line; then it learns that it was there before.
    else if (input.type === 'subscribe' && claims(input.channel, input.from)) {
      handleInput.call(s, now, {
        type: 'subscribe',
        channel: input.channel,
        from: unclaimed[input.channel]!,
      });
      claim(input.channel, input.from || 'now');
    } else if (
      input.type === 'subscribe' &&
      isStart(input.from) &&
      claimed[input.channel] &&
      now.mono_ms < unclaimedUntilMs
    ) {
      // Another handler of the same app, which had come as far.
      passed = { type: 'subscribe', channel: input.channel, from: claimed[input.channel]! };
      if (input.from === 'acked') acks = input.channel;
    } else passed = input;
    handleInput.call(s, now, passed);
    if (acks && s.subscriptions_[acks]) s.subscriptions_[acks]!.acks_ = true;
    if (input.type === 'handled') handled(input.channel, input.epoch, input.offset);
    if (input.type === 'unsubscribe') left(input.channel);
    if (input.type === 'login') {
      unclaimed = {};
      placesMoved = true;
    }
    s.output_.outputs_.forEach(follow);
    told = true;
    hides = hides || input.type === 'hide';
  };

  s.pollTimeout = () => {
    const at = pollTimeout.call(s);
    const storeAt = stores ? staleSinceMs + store_ms : Infinity;
    return at! <= storeAt || storeAt === Infinity ? at : storeAt;
  };

  return {
    handleInput: s.handleInput,
    pollStore_() {
      if (told) updateStored();
      told = hides = false;
      const store = pending;
      pending = undefined;
      return store;
    },
  };
}

/** True where a restarted app should go on with it. An answer to `history` or `presence` would find nobody. */
function isPersistent({ app_, verb_ }: Entry): boolean {
  return !!app_ && (verb_ === 'publish' || verb_ === 'call');
}

/** True of a start that a destroyed app has left behind long ago. */
function isStart(from: ReadFrom | undefined): boolean {
  return from === 'start' || from === 'acked';
}

function has(object: object, key: string | number): boolean {
  return Object.prototype.hasOwnProperty.call(object, key);
}
