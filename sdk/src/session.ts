/**
 * The session: its state, the door in, and the clock. The line is opened in `opening.ts`, kept in `line.ts`
 * and lost in `losing.ts`; what is said on it is in `traffic.ts`, what waits in `outbox.ts`, what is read in
 * `subscriptions.ts`: functions over the one state that is here.
 * The same machine exists in Rust under the same names, and `spec/vectors/client` runs on both.
 *
 * A shell feeds it one input at a time, with the time; then drains `pollOutput` until it gives nothing, and does what each
 * output says; and asks `pollTimeout` when to feed `timeout`. It holds no clock, no socket and no timer.
 */

import { wholeOf } from './entering.js';
import * as line from './line.js';
import * as losing from './losing.js';
import { merged } from './merged.js';
import { nextExpiry, type Entry } from './outbox.js';
import type { Format } from './msgpack.js';
import * as opening from './opening.js';
import { flush, isOnline, tellSettled } from './outputs.js';
import { randomFrom } from './random.js';
import { handled, type Subscription } from './subscriptions.js';
import * as traffic from './traffic.js';
import type { Auth, DropCause, DropOutput, Input, Now, Output, SessionOptions, StateOutput } from './vocabulary.js';

/** What is done with each input. */
const INPUTS: { [K in Input['type']]: (s: Session, input: never) => void } = {
  connect: opening.connect,
  close: losing.close,
  auth: opening.authCame,
  auth_failed: opening.authCame,
  socket_open: opening.socketOpen,
  socket_message: traffic.socketMessage,
  socket_closed: losing.socketClosed,
  request: traffic.request,
  cancel: traffic.cancel,
  subscribe: traffic.subscribe,
  unsubscribe: traffic.unsubscribe,
  handled,
  show: line.show,
  hide: line.hide,
  network: line.network,
  timeout: line.timeout,
};

/** What is not given. */
export const DEFAULTS: SessionOptions = {
  instance: '',
  client: { sdk: '', platform: '' },
  slots: 2,
  background: true,
  background_after_ms: 4000,
  probe_ms: 2000,
  connect_timeout_ms: 10000,
  auth_timeout_ms: 30000,
  close_wait_ms: 2000,
  retry_base_ms: 500,
  retry_max_ms: 30000,
  stable_ms: 5000,
  report_ms: 5000,
  idle_ms: 0,
  request_ttl_ms: 30000,
  outbox_count_max: 1000,
  outbox_bytes_max: 262144,
  outbox_full: 'reject',
  hello_bytes_max: 262144,
};

/**
 * One client's side of a session, without I/O. The same options, seed and inputs give the same outputs.
 *
 * Times are monotonic milliseconds unless their name says `wall`. A field with `!` is set before it is first read.
 */
export class Session {
  options_: SessionOptions & Partial<Format>;
  random_: () => number;
  /** Both clocks, as the last input told them. */
  nowMs_!: number;
  wallMs_!: number;

  /** What the app wants of the line; but for `up`, also the state that follows from it. */
  goal_: 'idle' | 'up' | 'stopped' | 'closed' = 'idle';
  stopCause_: DropCause | undefined;
  state_: StateOutput['state'] = 'idle';
  /** While it waits. */
  waitingUntilMs_: number | undefined;
  hiddenSinceMs_ = Infinity;
  /** What the next wait lasts at least, while the host says that there is no network; else 0. */
  offlineMs_ = 0;
  networkKind_: string | undefined;
  /** What the waits for an answer are multiplied with: more on a weak network. */
  patience_ = 1;
  /** When the app last used the line. */
  activeMs_!: number;

  /** The live socket; 0: none. */
  socket_ = 0;
  socketsMade_ = 0;
  /** How far the live socket has come; `challenged`: the server wants a login, which is being fetched. */
  stage_?: '' | 'dialing' | 'greeting' | 'challenged' | 'online';
  /** Until when the stage must be passed, before `online`. */
  stageDueMs_!: number;
  onlineSinceMs_!: number;
  messageBytesMax_ = 65536;
  /** Sockets that were told to close, and until when they may still hold a slot. */
  closing_: { socket_: number; untilMs_: number }[] = [];

  /** Retries since the last connection that lived long enough. */
  retries_ = 0;
  retryAtMs_!: number;
  /** No dial before this, whatever else happens: the server said so. */
  notBeforeMs_ = 0;

  pingMs_!: number;
  pongMs_!: number;
  lastSentMs_!: number;
  lastReceivedMs_!: number;
  /** What the silence means, while a ping waits for its answer, until `pongDueMs_`. */
  silence_: DropCause | undefined;
  pongDueMs_!: number;
  /** Since when something waits to be reported. */
  reportSinceMs_!: number;
  repliesUnsaid_!: number;
  /** The `seen` that the server was last told. */
  seenSaid_!: number;

  ticket_: string | undefined;
  attempt_ = 0;
  key_?: string;
  keySinceMs_!: number;
  auth_: Auth | undefined;
  authSinceMs_!: number;
  /** When the answer to `fetch_auth` is due, while one is out. */
  authDueMs_ = Infinity;
  /** The ticket or the last login was refused. */
  renew_ = false;
  /** A take-over was answered once already. */
  contested_?: boolean;
  /** The first drop since the last welcome, when it was, and the dials since. */
  firstDrop_: DropOutput | undefined;
  downSinceMs_!: number;
  dials_!: number;

  /** What has been asked and not settled; and of that, the app's requests: how many, and their bytes. */
  entries_: Entry[] = [];
  askedCount_ = 0;
  askedBytes_ = 0;
  nextId_ = 1;
  /** Without a prototype: a channel may have any name. */
  subscriptions_: { [channel: string]: Subscription } = Object.create(null);

  outputs_: Output[] = [];
  /** Packets of this drain, for the live socket, and their bytes. */
  message_ = '';
  messageBytes_ = 0;

  /** A session that has not begun: `connect`, a request or a subscription begins it. */
  constructor(options: Partial<SessionOptions>, seed: number) {
    const its = merged(merged({}, DEFAULTS), options) as SessionOptions & { [option: string]: unknown };
    Object.keys(DEFAULTS).forEach((option) => {
      const usual = DEFAULTS[option as 'slots'];
      if (typeof usual === 'number') its[option] = wholeOf(its[option], usual);
    });
    this.options_ = its;
    this.random_ = randomFrom(seed);
  }

  /** Takes one fact. Drain `pollOutput` afterwards. */
  handleInput(now: Now, input: Input): void {
    this.nowMs_ = now.mono_ms;
    this.wallMs_ = now.wall_ms;
    if (this.goal_ === 'closed') {
      if (input.type === 'request') tellSettled(this, input, { code: 'closed' });
      return;
    }
    INPUTS[input.type](this, input as never);
    if (isOnline(this)) traffic.pump(this);
    else opening.advance(this);
  }

  /** The next thing to do; nothing when all is done. */
  pollOutput(): Output | undefined {
    if (!this.outputs_.length) flush(this);
    return this.outputs_.shift();
  }

  /** When to feed `timeout`, in monotonic milliseconds. Nothing: no timer is needed. */
  pollTimeout(): number | undefined {
    if (this.hiddenSinceMs_ < Infinity && !this.socket_) return undefined;
    const at = Math.min(nextExpiry(this), line.lineDeadline(this), line.hideDeadline(this), line.idleDeadline(this));
    return at < Infinity ? at : undefined;
  }
}
