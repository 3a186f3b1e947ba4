/** `tautline/heartbeat` over scripted hosts: the other package's face, without its faults. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WebsocketHeartbeat } from '../src/entries/heartbeat.js';
import { alipayHost } from '../src/hosts/alipay.js';
import type { Host } from '../src/host.js';
import { wechatHost } from '../src/hosts/wechat.js';
import type { HeartbeatOptions, HeartbeatTask } from '../src/heartbeat-compat/options.js';
import { type AlipayTask, FakeAlipay } from './fakes/alipay.js';
import { FakeWechat } from './fakes/wechat.js';
import { World } from './fakes/world.js';

const URL = 'wss://a.example/ws';

/** A task on the world's clock, and what its hooks were told. */
async function begun(
  options: Partial<HeartbeatOptions> = {},
  wx = new FakeWechat(),
  make: (api: FakeWechat) => Host = wechatHost,
) {
  const world = new World();
  const host = { ...make(wx), now: world.now, setTimer: world.setTimer };
  const task = await WebsocketHeartbeat({ connectSocketParams: { url: URL }, host, ...options });
  const seen: unknown[] = [];
  hook(task, seen);
  await world.advance(0);
  return { world, wx, task, seen };
}

function hook(task: HeartbeatTask, seen: unknown[]): void {
  task.onOpen = () => seen.push('open');
  task.onMessage = ({ data }) => seen.push(data);
  task.onError = ({ errMsg }) => seen.push(['error', errMsg]);
  task.onClose = ({ code }) => seen.push(['close', code]);
  task.onReconnect = () => seen.push('reconnect');
}

async function open(options: Partial<HeartbeatOptions> = {}, wx = new FakeWechat()) {
  const all = await begun(options, wx);
  all.wx.task.opens();
  all.seen.length = 0;
  return all;
}

test('it has the face of the other package: a promise of a task with its hooks, methods, options and socketTask', async () => {
  const wx = new FakeWechat();
  const task = await WebsocketHeartbeat({ miniprogram: wx, connectSocketParams: { url: URL } });
  assert.equal(task.socketTask, wx.task);
  for (const name of ['send', 'close', 'onOpen', 'onMessage', 'onError', 'onClose', 'onReconnect'] as const) {
    assert.equal(typeof task[name], 'function');
  }
  const { pingTimeout, pongTimeout, reconnectTimeout, pingMsg, repeatLimit } = task.opts;
  assert.deepEqual(
    [pingTimeout, pongTimeout, reconnectTimeout, pingMsg, repeatLimit],
    [15_000, 10_000, 2_000, 'heartbeat', null],
  );
  task.close();
});

test('without a url, or a host, the promise is rejected with what is missing', async () => {
  await assert.rejects(WebsocketHeartbeat({} as HeartbeatOptions), /connectSocketParams\.url is missing/);
});

for (const [given, taken] of [
  [NaN, 15_000],
  [-1, 15_000],
  [0, 15_000],
  ['soon', 15_000],
  [null, 15_000],
  [{}, 15_000],
  ['500', 500],
  [0.5, 0.5],
] as [unknown, number][]) {
  test(`a time of ${String(given)} is taken as ${taken}, and no heartbeat follows at once`, async () => {
    const { world, wx, task } = await open({ pingTimeout: given as number });
    assert.equal(task.opts.pingTimeout, taken);
    await world.advance(Math.floor(taken) - 1);
    assert.deepEqual(wx.task.sent, []);
    await world.advance(2);
    assert.deepEqual(wx.task.sent, ['heartbeat']);
    task.close();
  });
}

test("parameters of the host's own are passed on", async () => {
  const { wx } = await begun({
    connectSocketParams: { url: URL, header: { a: 'b' }, protocols: ['p'], timeout: 5_000 },
  });
  const { url, header, protocols, timeout } = wx.task.connect as unknown as { [name: string]: unknown };
  assert.deepEqual([url, header, protocols, timeout], [URL, { a: 'b' }, ['p'], 5_000]);
});

test('an open or a message that came before the hooks were set is told once they are', async () => {
  const world = new World();
  const wx = new FakeWechat();
  const host = { ...wechatHost(wx), now: world.now, setTimer: world.setTimer };
  const promise = WebsocketHeartbeat({ connectSocketParams: { url: URL }, host });
  wx.task.opens();
  wx.task.receives('early');
  await world.advance(1_000);
  const seen: unknown[] = [];
  hook(await promise, seen);
  await world.advance(0);
  assert.deepEqual(seen, ['open', 'early']);
});

test('a heartbeat is sent after silence, and any message is an answer', async () => {
  const { world, wx, seen } = await open();
  await world.advance(14_999);
  assert.deepEqual(wx.task.sent, []);
  await world.advance(1);
  assert.deepEqual(wx.task.sent, ['heartbeat']);
  await world.advance(9_000);
  wx.task.receives('anything');
  await world.advance(14_999);
  assert.deepEqual(wx.task.sent, ['heartbeat']);
  assert.deepEqual(seen, ['anything']);
});

test('no answer, and a host that never reports the close: it reconnects all the same, and the dead socket is closed', async () => {
  const { world, wx, seen } = await open();
  await world.advance(15_000 + 10_000);
  assert.equal(wx.task.closes.length, 1);
  assert.deepEqual(seen, [], 'the host may still report it');
  await world.advance(2_000);
  assert.deepEqual(seen, [['close', undefined], 'reconnect']);
  await world.advance(2_000);
  assert.equal(wx.tasks.length, 2);
});

test('a connect that is never answered is given up, and tried again', async () => {
  const { world, wx, seen } = await begun();
  await world.advance(12_000);
  assert.equal(wx.tasks.length, 2);
  assert.deepEqual(seen[0], ['error', 'connect timeout']);
});

test('an error and a close of the same socket make one reconnect, not two', async () => {
  const { world, wx, seen } = await open();
  const first = wx.task;
  first.errs('abnormal closure');
  first.closesWith(1006, 'abnormal closure');
  await world.advance(2_000);
  assert.equal(seen.filter((one) => one === 'reconnect').length, 1);
  assert.equal(wx.tasks.length, 2);
  first.receives('from the grave');
  assert.ok(!seen.includes('from the grave'));
});

test('the reconnect limit counts dials in a row, and an open begins anew', async () => {
  const { world, wx } = await open({ repeatLimit: 2, connectTimeout: 1_000 });
  wx.task.closesWith(1006, '');
  await world.advance(60_000);
  assert.equal(wx.tasks.length, 3);
});

test('what the app closes stays closed, and its close is told although the host says nothing', async () => {
  const { world, wx, task, seen } = await open();
  let done = 0;
  task.close({ success: () => done++, complete: () => done++ });
  await world.advance(60_000);
  assert.deepEqual(seen, [['close', 1000]]);
  assert.equal(wx.tasks.length, 1);
  assert.equal(done, 2);
  assert.equal(world.pendingTimers, 0);
});

test('a send on a socket that is not open fails as the host says, and throws nothing', async () => {
  const { wx, task } = await begun();
  const told: unknown[] = [];
  wx.task.failsWith = 'SocketTask.send:fail SocketTask.readyState is not OPEN';
  task.send({
    data: 'x',
    success: () => told.push('sent'),
    fail: ({ errMsg }) => told.push(errMsg),
    complete: () => told.push('done'),
  });
  assert.deepEqual(told, [wx.task.failsWith, 'done']);
});

test('a send that the host refuses in the background does not end the socket, a dead one does', async () => {
  const { world, wx, task, seen } = await open();
  wx.task.failsWith = 'SocketTask.send:fail interrupted';
  task.send({ data: 'x' });
  await world.advance(5_000);
  assert.deepEqual([seen, wx.task.closes.length], [[], 0]);
  wx.task.failsWith = 'SocketTask.send:fail SocketTask.readyState is not OPEN';
  task.send({ data: 'y' });
  await world.advance(5_000);
  assert.deepEqual(seen.slice(0, 2), [['close', undefined], 'reconnect']);
});

test('timers that froze in the background: back on show, one probe decides, quickly', async () => {
  const { world, wx, seen } = await open();
  wx.emit('AppHide');
  world.jump(600_000);
  wx.emit('AppShow');
  assert.deepEqual(wx.task.sent, ['heartbeat']);
  await world.advance(2_000);
  assert.equal(wx.task.closes.length, 1);
  await world.advance(2_000);
  assert.deepEqual(seen.slice(-1), ['reconnect']);
});

test('in the background nothing is dialled, and on show it is dialled at once', async () => {
  const { world, wx } = await open();
  wx.emit('AppHide');
  wx.task.closesWith(1000, 'interrupted');
  await world.advance(600_000);
  assert.equal(wx.tasks.length, 1);
  wx.emit('AppShow');
  assert.equal(wx.tasks.length, 2);
});

test('alipay: in the plural, out of the box, and it comes back', async () => {
  const my = new FakeAlipay();
  const { world, seen } = await begun({}, my, alipayHost);
  my.task.opens();
  my.task.receives('boxed');
  (my.task as AlipayTask).closesWith();
  await world.advance(2_000);
  assert.deepEqual(seen.slice(0, 2), ['open', 'boxed']);
  assert.equal(my.tasks.length, 2);
  assert.equal(my.task.connect.multiple, true);
});

test('a fault in a hook stops neither the heartbeat nor the others', async () => {
  const { world, wx, task } = await open();
  task.onMessage = () => {
    throw new Error('of the app');
  };
  wx.task.receives('x');
  await assert.rejects(world.advance(0), /of the app/);
  await world.advance(15_000);
  assert.deepEqual(wx.task.sent, ['heartbeat']);
});
