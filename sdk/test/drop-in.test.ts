/**
 * The original package from npm and ours, side by side over the same scripted host: the same hooks with the same events in
 * the same order, the same calls to the host. Where they differ, a test of its own names the fault that was mended.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WebsocketHeartbeat } from '../src/entries/heartbeat.js';
import { wechatHost } from '../src/hosts/wechat.js';
import type { HeartbeatTask } from '../src/heartbeat-compat/options.js';
import { FakeWechat } from './fakes/wechat.js';
import { World } from './fakes/world.js';

type Make = (options: object) => Promise<HeartbeatTask>;
// It asks for a window when it is loaded.
Object.assign(globalThis, { window: globalThis });
const original = (require('websocket-heartbeat-miniprogram') as { default: Make }).default;
delete (globalThis as { window?: unknown }).window;

/** One of the two, in a world of its own. */
interface Side {
  world: World;
  wx: FakeWechat;
  task: HeartbeatTask;
  seen: unknown[];
}

const HOOKS = ['onOpen', 'onMessage', 'onError', 'onClose', 'onReconnect'] as const;

async function begun(ours: boolean, options: object = {}): Promise<Side> {
  const world = new World();
  const wx = new FakeWechat();
  const seen: unknown[] = [];
  const connectSocketParams = {
    url: 'wss://a.example/ws',
    success: (it: unknown) => seen.push(['connect success', it]),
  };
  const given = { connectSocketParams, miniprogram: wx, ...options };
  const task = ours
    ? await WebsocketHeartbeat({
        ...given,
        host: { ...wechatHost(wx), now: world.now, setTimer: world.setTimer },
      })
    : await original(given);
  const own = task;
  for (const name of HOOKS) {
    task[name] = function (this: unknown, event?: unknown) {
      seen.push([name, event, this === own]);
    } as never;
  }
  await world.advance(0);
  return { world, wx, task, seen };
}

/** Runs the clock of the world for the original, too: it asks the globals for timers. */
async function onWorldTimers<T>(world: () => World, act: () => Promise<T>): Promise<T> {
  const here = globalThis as { setTimeout: unknown; clearTimeout: unknown };
  const { setTimeout, clearTimeout } = here;
  here.setTimeout = (fire: () => void, delayMs: number) => world().setTimer(delayMs, fire);
  here.clearTimeout = (cancel: (() => void) | undefined) => cancel?.();
  try {
    return await act();
  } finally {
    Object.assign(here, { setTimeout, clearTimeout });
  }
}

type Script = (side: Side) => Promise<void> | void;

/** What both did with `script`: hooks, what was sent, dials and closes. */
async function both(script: Script, options?: object): Promise<[unknown, unknown]> {
  const results: unknown[] = [];
  for (const ours of [false, true]) {
    const timersOf: { world: World } = { world: new World() };
    await onWorldTimers(
      () => timersOf.world,
      async () => {
        const side = await begun(ours, options);
        timersOf.world = side.world;
        await script(side);
        const { wx, seen, task } = side;
        results.push({
          seen,
          sent: wx.tasks.map(({ sent }) => sent),
          dials: wx.tasks.length,
          repeat: task.repeat,
        });
      },
    );
  }
  return results as [unknown, unknown];
}

const SCRIPTS: [string, Script, object?][] = [
  [
    'an open, messages and a heartbeat',
    async ({ world, wx }) => {
      wx.task.opens();
      wx.task.receives('hello');
      await world.advance(15_000);
      wx.task.receives('pong');
      await world.advance(14_000);
    },
  ],
  [
    'a close by the server',
    async ({ world, wx }) => {
      wx.task.opens();
      wx.task.closesWith(1006, 'abnormal closure');
      await world.advance(2_000);
      wx.task.opens();
    },
  ],
  [
    'an error, then a close',
    async ({ world, wx }) => {
      const first = wx.task;
      first.opens();
      first.errs('abnormal closure');
      first.closesWith(4001, 'of the server');
      await world.advance(2_000);
      wx.task.opens();
    },
  ],
  [
    'no answer to a heartbeat',
    async ({ world, wx }) => {
      wx.task.opens();
      await world.advance(25_000);
      wx.task.closesWith(1000, 'normal closure');
      await world.advance(2_000);
    },
  ],
  [
    'a send, told in the words of the host',
    ({ wx, task, seen }) => {
      wx.task.opens();
      const how = (data: string) => ({
        data,
        success: (it: unknown) => seen.push(['success', it]),
        fail: (it: unknown) => seen.push(['fail', it]),
        complete: () => seen.push(['complete']),
      });
      task.send(how('fine'));
      wx.task.failsWith = 'SocketTask.send:fail interrupted';
      task.send(how('refused'));
    },
  ],
  [
    'a close by the app',
    async ({ world, wx, task, seen }) => {
      wx.task.opens();
      task.close({ code: 4000, reason: 'bye', success: () => seen.push('closed') });
      wx.task.closesWith(4000, 'bye');
      await world.advance(60_000);
    },
  ],
  [
    'a limit of dials',
    async ({ world, wx }) => {
      for (let dials = 0; dials < wx.tasks.length;) {
        dials = wx.tasks.length;
        wx.task.closesWith(1006, '');
        await world.advance(2_000);
      }
    },
    { repeatLimit: 2 },
  ],
  [
    'its public methods',
    async ({ world, wx, task }) => {
      wx.task.opens();
      await world.advance(10_000);
      task.heartCheck();
      await world.advance(14_000);
      task.heartReset();
      await world.advance(60_000);
      task.heartStart();
      await world.advance(15_000);
      task.heartReset();
      task.reconnect();
      task.reconnect();
      await world.advance(1_000);
    },
  ],
  [
    'hooks that use this',
    ({ wx, task }) => {
      task.onOpen = function (this: HeartbeatTask) {
        this.send({ data: 'from onOpen' });
      };
      wx.task.opens();
    },
  ],
];

for (const [what, script, options] of SCRIPTS) {
  test(`side by side: ${what}`, async () => {
    const [theirs, ours] = await both(script, options);
    assert.deepEqual(ours, theirs);
  });
}

test('side by side: every member of the original is there', async () => {
  const theirs = await begun(false);
  const ours = await begun(true);
  const members = (task: object) => [
    ...Object.keys(task),
    ...Object.getOwnPropertyNames(Object.getPrototypeOf(task)),
  ];
  // How it goes about it inside.
  const inner = ['constructor', 'registerHeartBeatEvent', 'lockReconnect', 'forbidReconnect'];
  for (const name of members(theirs.task)) if (!inner.includes(name)) assert.ok(name in ours.task, name);
  const options = (task: HeartbeatTask) => Object.keys(task.opts).sort();
  for (const name of options(theirs.task)) assert.ok(options(ours.task).includes(name), name);
  assert.equal(ours.task.socketTask, ours.wx.task);
  assert.equal(ours.task.repeat, theirs.task.repeat);
});

/** What is mended: the original does the first, ours the second. */
const MENDED: [
  string,
  Script,
  (result: { dials: number; seen: unknown[][] }) => unknown,
  unknown,
  unknown,
][] = [
  [
    'a close that the host never reports',
    async ({ world, wx }) => {
      wx.task.opens();
      await world.advance(60_000);
    },
    ({ dials }) => dials > 1,
    false,
    true,
  ],
  [
    'a connect that is never answered',
    ({ world }) => world.advance(60_000),
    ({ dials }) => dials > 1,
    false,
    true,
  ],
  [
    'a second close of a socket that was replaced',
    async ({ world, wx }) => {
      const first = wx.task;
      first.opens();
      first.errs('abnormal closure');
      await world.advance(2_000);
      first.closesWith(1006, 'late');
      await world.advance(2_000);
    },
    ({ dials }) => dials,
    3,
    2,
  ],
];

for (const [what, script, look, before, after] of MENDED) {
  test(`mended: ${what}`, async () => {
    const results = (await both(script)) as Parameters<typeof look>[0][];
    assert.deepEqual(results.map(look), [before, after]);
  });
}
