/**
 * A socket with a heartbeat to any server that answers one. A drop-in for the npm package
 * `websocket-heartbeat-miniprogram`: the same call, hooks, methods and option names, called in the same order with the
 * host's own events. `test/drop-in.test.ts` runs both side by side.
 *
 * What it does better: hosts are not trusted to report a close, a connect or an open; a socket that was given up is closed
 * and never heard again; Alipay works, in the plural; overdue timers do not pile up; back on show it looks at once.
 * Without sessions, nothing that is lost on the way is sent again: that is what `tautline` itself is for.
 */

import type { Fact, Host, Socket } from '../host.js';
import { base64 } from '../hosts/base64.js';
import { causeOf, messageOf } from '../hosts/causes.js';
import { noop } from '../hosts/noop.js';
import { hostOf } from '../hosts/host-of.js';
import { assign } from '../assign.js';
import { alarmOn } from './deadline.js';
import type { HeartbeatCallbacks, HeartbeatOptions, HeartbeatTask } from './options.js';

type HookName = 'onOpen' | 'onMessage' | 'onError' | 'onClose' | 'onReconnect';
type Hook = (this: unknown, event?: object) => void;

const DEFAULTS = {
  pingTimeout: 15000,
  pongTimeout: 10000,
  reconnectTimeout: 2000,
  pingMsg: 'heartbeat',
  repeatLimit: null,
  connectTimeout: 10000,
};
const TIMES = ['pingTimeout', 'pongTimeout', 'reconnectTimeout', 'connectTimeout'] as const;
const HOOKS: HookName[] = ['onOpen', 'onMessage', 'onError', 'onClose', 'onReconnect'];
/** What is kept for an app that has not set its first hook yet. */
const EARLY_MAX = 100;
/** How soon after a return of the app, or another network, a sign of life must come. Milliseconds. */
const PROBE_MS = 2000;
/** How long a host may take over a close. Milliseconds. */
const CLOSE_WAIT_MS = 2000;

/** Connects, and gives the task at once: before it is open. */
export function WebsocketHeartbeat(options: HeartbeatOptions): Promise<HeartbeatTask> {
  return new Promise((resolve) => {
    const { connectSocketParams } = options || ({} as HeartbeatOptions);
    if (!connectSocketParams || !connectSocketParams.url)
      throw new Error('connectSocketParams.url is missing: where to connect to?');
    const host = options.host || hostOf(options.miniprogram);
    if (!host)
      throw new Error(
        'no WebSocket was found: pass the host as `miniprogram` (wx, my, swan, tt, Taro, uni, …)',
      );
    const opts = assign(assign({}, DEFAULTS), options) as typeof DEFAULTS & HeartbeatOptions;
    // With what is no time, timers would fire at once, over and over.
    TIMES.forEach((name) => {
      opts[name] = +opts[name] > 0 ? +opts[name] : DEFAULTS[name];
    });
    resolve(begin(host, opts));
  });
}

function begin(host: Host, opts: typeof DEFAULTS & HeartbeatOptions): HeartbeatTask {
  const hooks = {} as { [hook in HookName]: Hook };
  let early: [HookName, object | undefined][] | undefined = [];
  let socket: Socket | undefined;
  /** Of the newest socket; what older ones still tell is not heard. */
  let number = 0;
  let open: boolean | undefined;
  /** The newest socket is lost, or was closed by the app: it is not lost again. */
  let lost: boolean | undefined;
  /** The host has said so, or was waited for. */
  let gone: boolean | undefined;
  /** It is being closed, with this to tell where the host says nothing. */
  let leaving: object | undefined;
  /** Another dial is planned. */
  let locked: boolean | undefined;
  let forbidden: boolean | undefined;
  let hidden: boolean | undefined;
  /** Of the network. */
  let kind: string | undefined;
  let unwatch = noop;
  /** When to ping, and to give up on the answer. */
  const beat = alarmOn(host);
  /** When to give up on a connect or a close, and when to dial again. */
  const line = alarmOn(host);

  function tell(hook: HookName, event?: object): void {
    // Hooks are set after the promise has settled, which on some phones is a timer later.
    if (early) return void (early.length < EARLY_MAX && early.push([hook, event]));
    try {
      hooks[hook].call(task, event);
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

  function createWebSocket(): void {
    const mine = ++number;
    const { connectSocketParams, connectTimeout } = opts;
    if (socket && !gone) socket.close(1000, '');
    open = lost = gone = locked = false;
    leaving = undefined;
    line.set(connectTimeout, () => lose({ errMsg: 'connect timeout' }));
    const made = host.dial(
      connectSocketParams.url,
      undefined,
      mine,
      (fact) => mine === number && hear(fact),
      connectSocketParams,
      base64,
    );
    // It may have been replaced already.
    if (mine === number) socket = made;
  }

  function hear(fact: Fact): void {
    if (fact.type === 'socket_open') {
      // Some hosts say so twice.
      if (open || lost) return;
      open = true;
      task.repeat = 0;
      line.stop();
      tell('onOpen', (fact.event as object) || {});
      heartCheck();
    } else if (fact.type === 'socket_message') {
      // In the form that WeChat has, on every host. Any message is a sign of life.
      tell('onMessage', assign(assign({}, fact.event as object), { data: fact.data }));
      heartCheck();
    } else if (fact.type === 'socket_closed') {
      const { code, held } = fact;
      const event = (fact.event as { reason?: string }) || { code, reason: fact.reason };
      const isError = held || (code === undefined && messageOf(event) !== (event.reason || ''));
      if (!isError) ended(event);
      else if (leaving) {
        if (!held) ended(leaving);
      } else {
        gone = gone || !held;
        lose(event);
      }
    }
  }

  /** It is lost, as an error says; the close may follow, and is told as the host tells it. */
  function lose(error: object): void {
    if (lost) return;
    lost = true;
    heartReset();
    if (!gone) socket!.close(1000, '');
    tell('onError', error);
    reconnect();
  }
  function ended(event: object): void {
    if (gone) return;
    gone = lost = true;
    heartReset();
    if (!locked) line.stop();
    tell('onClose', event);
    reconnect();
  }
  /** The host's own close is told, if it comes. */
  function hangUp(event: { code?: number; reason: string }, callbacks?: HeartbeatCallbacks): void {
    heartReset();
    if (!gone && !lost) {
      leaving = event;
      line.set(CLOSE_WAIT_MS, () => ended(event));
    }
    lost = true;
    socket!.close(event.code || 1000, event.code ? event.reason : '', callbacks);
  }

  function reconnect(): void {
    if (opts.repeatLimit !== null && opts.repeatLimit! > 0 && task.repeat >= opts.repeatLimit!) return;
    if (locked || forbidden) return;
    locked = true;
    task.repeat++;
    tell('onReconnect');
    if (!forbidden) line.set(opts.reconnectTimeout, dialWhenShown);
  }
  function dialWhenShown(): void {
    // In the background it could only fail; `show` comes here again.
    if (!hidden) createWebSocket();
  }

  function heartCheck(): void {
    heartReset();
    heartStart();
  }
  function heartStart(): void {
    if (!forbidden && !lost) beat.set(opts.pingTimeout, ping);
  }
  function heartReset(): void {
    beat.stop();
  }
  function ping(waitMs?: number): void {
    beat.set(waitMs || opts.pongTimeout, () => hangUp({ reason: 'no answer to the heartbeat' }));
    send({ data: opts.pingMsg });
  }

  function send(message: Parameters<HeartbeatTask['send']>[0]): void {
    const { data, fail } = message;
    const mine = number;
    socket!.send(
      data,
      assign(assign({}, message), {
        fail(error: { errMsg: string }) {
          if (fail) fail(error);
          // Refused in the background, it may live on; else it has died, and nobody has said so.
          if (mine === number && open && !lost && causeOf(messageOf(error)) !== 'background')
            hangUp({ reason: messageOf(error) });
        },
      }),
    );
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
  function probe(): void {
    if (open && !lost) ping(PROBE_MS);
    else if (locked) dialWhenShown();
    else line.look();
  }

  const task = {
    opts,
    repeat: 0,
    createWebSocket,
    reconnect,
    heartCheck,
    heartStart,
    heartReset,
    send,
    close(options?: Parameters<HeartbeatTask['close']>[0]) {
      const { code = 1000, reason = '' } = options || {};
      forbidden = true;
      unwatch();
      line.stop();
      hangUp({ code, reason }, options);
    },
  };
  Object.defineProperty(task, 'socketTask', {
    enumerable: true,
    get: () => (socket && socket.task ? socket.task() : null),
  });
  HOOKS.forEach((name) => {
    hooks[name] = noop;
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
  createWebSocket();
  return task as unknown as HeartbeatTask;
}
