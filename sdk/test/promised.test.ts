/** What `connectSocket` may give: a task, a promise of one, either in a box, or nothing. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { wechatHost } from '../src/hosts/wechat.js';
import { heard } from './fakes/heard.js';
import { type FakeTask, FakeWechat, type ConnectOptions } from './fakes/wechat.js';

/** A `wx` whose `connectSocket` gives what `wrap` makes of the task. */
class Wrapping extends FakeWechat {
  constructor(private readonly wrap: (task: FakeTask) => unknown) {
    super();
  }
  override connectSocket(options: ConnectOptions): ReturnType<FakeWechat['connectSocket']> {
    return this.wrap(super.connectSocket(options) as FakeTask) as never;
  }
}

async function dialled(wrap: (task: FakeTask) => unknown) {
  const wx = new Wrapping(wrap);
  const { seen, tell } = heard();
  const timers: (() => void)[] = [];
  const socket = wechatHost(wx).dial('wss://a.example/connect', undefined, 1, tell);
  await new Promise((resolve) => setImmediate(resolve));
  return { wx, seen, socket, task: wx.task, timers };
}

for (const [what, wrap] of [
  ['a task in a box', (socketTask: FakeTask) => ({ socketTask })],
  ['a promise of a task', (task: FakeTask) => Promise.resolve(task)],
  [
    'a promise of a task in a box',
    (socketTask: FakeTask) => Promise.resolve({ socketTask, errMsg: 'connectSocket:ok' }),
  ],
] as const) {
  test(`${what} is a task`, async () => {
    const { seen, socket, task } = await dialled(wrap);
    task.opens();
    task.receives('hello');
    socket.send('{}');
    socket.close(1000, '');
    assert.deepEqual([seen, task.sent, task.closes.length], [['open', 'hello'], ['{}'], 1]);
  });
}

test('a promised socket that was given up is closed when it comes', async () => {
  const wx = new Wrapping((task) => Promise.resolve(task));
  const { seen, tell } = heard();
  const socket = wechatHost(wx).dial('wss://a.example/connect', undefined, 1, tell);
  socket.close(1000, '');
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(wx.task.closes.length, 1);
  wx.task.closesWith(1000, '');
  assert.deepEqual(seen, [{ code: 1000, reason: '', cause: undefined }]);
});

test('what was not understood is closed', async () => {
  let closed = 0;
  await dialled(() => Promise.resolve({ close: () => closed++ }));
  assert.equal(closed, 1);
});

test('no task and a late fail: the words of the host', async () => {
  const { seen, task } = await dialled(() => undefined);
  task.connect.fail?.({ errMsg: 'connectSocket:fail url not in domain list' });
  assert.deepEqual(seen, [
    { code: undefined, reason: 'connectSocket:fail url not in domain list', cause: 'domain_not_allowed' },
  ]);
});

test('a fail within the dial and no task: told once', async () => {
  const wx = new FakeWechat();
  const { seen, tell } = heard();
  wx.connectSocket = (options: ConnectOptions) => {
    options.fail?.({ errMsg: 'connectSocket:fail timeout' });
    return undefined;
  };
  wechatHost(wx).dial('wss://a.example/connect', undefined, 1, tell);
  assert.deepEqual(seen, [
    { code: undefined, reason: 'connectSocket:fail timeout', cause: 'connect_timeout' },
  ]);
});

test('an error that says nothing has no words', async () => {
  const { seen, task } = await dialled((task) => task);
  task.connect.fail?.({} as never);
  assert.deepEqual(seen, [{ code: undefined, reason: '', cause: undefined }]);
});
