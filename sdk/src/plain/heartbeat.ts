/**
 * A socket with a heartbeat to any server that answers one. A drop-in for the npm package
 * `websocket-heartbeat-miniprogram`: the same call, hooks, methods and option names.
 *
 * What it does better: hosts are not trusted to report a close, a connect or an open; a socket that was given up is closed
 * and never heard again; Alipay works, in the plural; overdue timers do not pile up; back on show it looks at once.
 * Without sessions, nothing that is lost on the way is sent again: that is what `tautline` itself is for.
 */

import type { Fact, Host, Socket } from '../host.js';
import { base64 } from '../hosts/base64.js';
import { hostOf } from '../hosts/passed-in.js';
import { merged } from '../merged.js';
import type { HeartbeatCallbacks, HeartbeatOptions, HeartbeatTask } from './options.js';

type HookName = 'onOpen' | 'onMessage' | 'onError' | 'onClose' | 'onReconnect';

const DEFAULTS = {
  pingTimeout: 15000,
  pongTimeout: 10000,
  reconnectTimeout: 2000,
  pingMsg: 'heartbeat',
  repeatLimit: null,
  connectTimeout: 10000,
};
const HOOKS: HookName[] = ['onOpen', 'onMessage', 'onError', 'onClose', 'onReconnect'];
/** What is kept for an app that has not set its first hook yet. */
const EARLY_MAX = 100;
/** How soon after a return of the app, or another network, a sign of life must come. Milliseconds. */
const PROBE_MS = 2000;
/** How long a host may take over a close. Milliseconds. */
const CLOSE_WAIT_MS = 2000;

function nothing(): void {}

/** Connects, and gives the task at once: before it is open. */
export function WebsocketHeartbeat(options: HeartbeatOptions): Promise<HeartbeatTask> {
  return new Promise((resolve) => {
    const { connectSocketParams } = options || ({} as HeartbeatOptions);
    if (!connectSocketParams || !connectSocketParams.url) throw new Error('connectSocketParams.url is missing: where to connect to?');
    const host = options.host || hostOf(options.miniprogram);
    if (!host) throw new Error('no WebSocket was found: pass the host as `miniprogram` (wx, my, swan, tt, Taro, uni, …)');
    resolve(begin(host, merged(merged({}, DEFAULTS), options) as typeof DEFAULTS & HeartbeatOptions));
  });
}

function begin(host: Host, opts: typeof DEFAULTS & HeartbeatOptions): HeartbeatTask {
  const hooks = {} as { [hook in HookName]: (event: never) => void };
  let early: [HookName, object][] | undefined = [];
  let socket: Socket | undefined;
  /** Of the newest socket; what older ones still tell is not heard. */
  let number = 0;
  let state: 'connecting' | 'open' | 'waiting' | 'closed' = 'waiting';
  let repeat = 0;
  let cancelTimer = nothing;
  /** What the timer does, and when, by the wall clock: timers freeze in the background. */
  let due = Infinity;
  let overdue = nothing;
  let unwatch = nothing;
  let hidden: boolean | undefined;
  /** Of the network. */
  let kind: string | undefined;

  const { url } = opts.connectSocketParams;

  function timer(delayMs: number, fire: () => void): void {
    cancelTimer();
    due = host.now() + delayMs;
    overdue = fire;
    cancelTimer = host.setTimer(delayMs, look);
  }
  function stop(): void {
    cancelTimer();
    due = Infinity;
  }
  function look(): void {
    const restMs = due - host.now();
    if (restMs > 0) return void (due < Infinity && timer(restMs, overdue));
    due = Infinity;
    overdue();
  }

  function tell(hook: HookName, event: object): void {
    // Hooks are set after the promise has settled, which on some phones is a timer later.
    if (early) return void (early.length < EARLY_MAX && early.push([hook, event]));
    try {
      hooks[hook](event as never);
    } catch (error) {
      // A fault of the app's must not stop the heartbeat.
      host.setTimer(0, () => {
        throw error;
      });
    }
  }
  function flush(): void {
    const kept = early || [];
    early = undefined;
    kept.forEach(([hook, event]) => tell(hook, event));
  }

  function dial(): void {
    const mine = ++number;
    state = 'connecting';
    timer(opts.connectTimeout, () => lost({ reason: 'connect timeout' }));
    const made = host.dial(url, undefined, mine, (fact) => mine === number && hear(fact), opts.connectSocketParams, base64);
    // It may have failed already, and even been replaced.
    if (mine === number) socket = made;
    // As the host's own `connectSocket` would: the request was made, or not.
    settle(opts.connectSocketParams as HeartbeatCallbacks, mine === number ? '' : 'connectSocket:fail');
  }

  function hear(fact: Fact): void {
    if (fact.type === 'socket_open') {
      // Some hosts say so twice.
      if (state !== 'connecting') return;
      state = 'open';
      repeat = 0;
      beat();
      tell('onOpen', {});
    } else if (fact.type === 'socket_message') {
      // Any message is a sign of life.
      beat();
      tell('onMessage', { data: fact.data });
    } else if (fact.type === 'socket_closed') lost({ code: fact.code, reason: fact.reason || '' }, true);
  }

  function beat(): void {
    if (state === 'open') timer(opts.pingTimeout, ping);
  }
  function ping(waitMs?: number): void {
    timer(waitMs || opts.pongTimeout, () => lost({ reason: 'no answer to the heartbeat' }));
    socket!.send(opts.pingMsg);
  }

  /** The socket is gone, or as good as gone: detach from it, and never wait for the host. */
  function lost(how: { code?: number | undefined; reason: string }, told?: boolean): void {
    const old = socket;
    const wanted = state !== 'closed';
    number++;
    socket = undefined;
    stop();
    if (old && !told) old.close(1000, '');
    if (wanted) state = 'waiting';
    if (how.code === undefined) tell('onError', { errMsg: how.reason });
    tell('onClose', how);
    if (!wanted || state !== 'waiting') return;
    if (opts.repeatLimit !== null && opts.repeatLimit! > 0 && repeat >= opts.repeatLimit!) return;
    repeat++;
    tell('onReconnect', {});
    if (state === 'waiting') timer(opts.reconnectTimeout, dialWhenShown);
  }
  function dialWhenShown(): void {
    // In the background it could only fail; `show` comes here again.
    if (hidden) due = 0;
    else dial();
  }

  function probe(): void {
    if (state === 'open') ping(PROBE_MS);
    else if (state === 'waiting' && due < Infinity) dialWhenShown();
    else look();
  }
  function watch(fact: Fact): void {
    if (fact.type === 'hide') hidden = host.background;
    else if (fact.type === 'show') {
      hidden = false;
      probe();
    } else if (fact.type === 'network' && fact.online && kind !== fact.kind) {
      if (kind) probe();
      kind = fact.kind;
    }
  }

  const task = {
    opts,
    send(message: Parameters<HeartbeatTask['send']>[0]) {
      const before = number;
      if (state === 'open') socket!.send(message.data);
      const errMsg = state === 'open' && before === number ? '' : 'send:fail the socket is not open';
      settle(message, errMsg);
    },
    close(options?: Parameters<HeartbeatTask['close']>[0]) {
      const { code = 1000, reason = '' } = options || {};
      const was = state;
      state = 'closed';
      unwatch();
      stop();
      settle(options || {}, '');
      if (!socket) return void (was !== 'closed' && ++number);
      // The host's own event comes, or does not.
      timer(CLOSE_WAIT_MS, () => lost({ code, reason }));
      socket.close(code, reason);
    },
  };
  function settle({ success = nothing, fail = nothing, complete = nothing }: HeartbeatCallbacks, errMsg: string): void {
    host.setTimer(0, () => {
      if (errMsg) fail({ errMsg });
      else success({ errMsg: 'ok' });
      complete();
    });
  }
  Object.defineProperty(task, 'socketTask', { enumerable: true, get: () => (socket && socket.task ? socket.task() : null) });
  HOOKS.forEach((name) => {
    hooks[name] = nothing;
    Object.defineProperty(task, name, {
      enumerable: true,
      get: () => hooks[name],
      set(hook) {
        hooks[name] = hook;
        // The others are about to be set, in this same tick.
        if (early) host.setTimer(0, flush);
      },
    });
  });

  unwatch = host.watch(watch);
  dial();
  return task as unknown as HeartbeatTask;
}
