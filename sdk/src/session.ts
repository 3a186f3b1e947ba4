/**
 * The session: its state, the entry points, and the clock. `connect.ts` opens a connection, `liveness.ts` keeps
 * it and `disconnect.ts` ends it; `online.ts` has the packets on an open connection, `outbox.ts` requests, and
 * `subscriptions.ts` cursors in channels: functions over the state that is here.
 * The same machine exists in Rust under the same names, and `spec/vectors/client` runs on both.
 *
 * A shell feeds it one input at a time, with the time; then drains `pollOutput` until it gives nothing, and does what each
 * output says; and asks `pollTimeout` when to feed `timeout`. It holds no clock, no socket and no timer.
 */

import { wholeOf } from './inputs.js';
import * as liveness from './liveness.js';
import * as disconnect from './disconnect.js';
import { assign } from './assign.js';
import { login } from './login.js';
import { nextExpiry } from './outbox.js';
import type { Format } from './msgpack.js';
import * as connect from './connect.js';
import { flush, isOnline, emitSettled } from './outputs.js';
import { refreshDeadline } from './refresh.js';
import { randomFrom } from './random.js';
import { handled, retryDeadline, type Subscription } from './subscriptions.js';
import * as online from './online.js';
import {
  newBackoff,
  newConnection,
  newEnvironment,
  newIdentity,
  newOutbox,
  newOutgoing,
  type Heartbeat,
  type Refresh,
} from './state.js';
import type { DropCause, Input, Now, Output, SessionOptions, StateName } from './types.js';

/** What is done with each input. */
const INPUTS: { [K in Input['type']]: (s: Session, input: never) => void } = {
  connect: connect.connect,
  close: disconnect.close,
  login,
  auth: connect.onAuth,
  auth_failed: connect.onAuth,
  socket_open: connect.onSocketOpen,
  socket_message: online.onSocketMessage,
  socket_closed: disconnect.onSocketClosed,
  request: online.request,
  cancel: online.cancel,
  subscribe: online.subscribe,
  unsubscribe: online.unsubscribe,
  handled,
  show: liveness.show,
  hide: liveness.hide,
  network: liveness.network,
  timeout: liveness.timeout,
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
 * A field with `!` is set before it is first read.
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
  state_: StateName = 'idle';
  /** While it waits. */
  waitingUntilMs_: number | undefined;
  /** When the app last used the line. */
  activeMs_!: number;

  environment_ = newEnvironment();
  connection_ = newConnection();
  backoff_ = newBackoff();
  heartbeat_ = {} as Heartbeat;
  identity_ = newIdentity();
  refresh_ = {} as Refresh;
  outbox_ = newOutbox();
  /** Without a prototype: a channel may have any name. */
  subscriptions_: { [channel: string]: Subscription } = Object.create(null);
  output_ = newOutgoing();

  /** A session that has not begun: `connect`, a request or a subscription begins it. */
  constructor(options: Partial<SessionOptions>, seed: number) {
    const its = assign(assign({}, DEFAULTS), options) as SessionOptions & { [option: string]: unknown };
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
      if (input.type === 'request') emitSettled(this, input, { code: 'closed' });
      return;
    }
    INPUTS[input.type](this, input as never);
    if (isOnline(this)) online.pump(this);
    else connect.advance(this);
  }

  /** The next thing to do; nothing when all is done. */
  pollOutput(): Output | undefined {
    if (!this.output_.outputs_.length) flush(this);
    return this.output_.outputs_.shift();
  }

  /** When to feed `timeout`, in monotonic milliseconds. Nothing: no timer is needed. */
  pollTimeout(): number | undefined {
    if (this.environment_.hiddenSinceMs_ < Infinity && !this.connection_.socket_) return undefined;
    const at = Math.min(
      nextExpiry(this),
      liveness.lineDeadline(this),
      liveness.hideDeadline(this),
      liveness.idleDeadline(this),
      refreshDeadline(this),
      retryDeadline(this),
    );
    return at < Infinity ? at : undefined;
  }
}
