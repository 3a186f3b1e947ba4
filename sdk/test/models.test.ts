/** The whole line over scripted hosts with a gateway behind them: each quirk that was seen in the wild, as a story. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Host } from '../src/host.js';
import { douyinHost, jdHost } from '../src/hosts/wechat-compatible.js';
import { alipayHost } from '../src/hosts/alipay.js';
import { wechatHost } from '../src/hosts/wechat.js';
import { Tautline, type TautlineOptions } from '../src/index.js';
import { FakeAlipay, OldAlipay } from './fakes/alipay.js';
import { FakeDouyin } from './fakes/wechat-compatible.js';
import { FakeJd } from './fakes/global-socket.js';
import { Served } from './fakes/served.js';
import { FakeWechat } from './fakes/wechat.js';

/** A line in a mini program, subscribed to a channel, and what it told. */
async function running(
  wx: FakeWechat,
  make: (api: FakeWechat) => Host,
  options: Partial<TautlineOptions> = {},
) {
  const served = new Served(wx);
  const line = new Tautline({ url: 'wss://a.example/connect', host: served.host(make), ...options });
  const seen: unknown[] = [];
  const drops: string[] = [];
  line.on('drop', ({ cause }) => drops.push(cause));
  line.subscribe('room:7', { onPublication: ({ data }) => seen.push(data) });
  await served.world.advance(200);
  const publish = (data: unknown) => served.gateway.publish('room:7', data, served.world.now());
  return { served, world: served.world, wx, line, seen, drops, publish };
}

const MINUTE = 60_000;

for (const [name, fake, make] of [
  ['wechat', () => new FakeWechat(), wechatHost],
  ['wechat game', () => new FakeWechat('game'), wechatHost],
  ['alipay', () => new FakeAlipay(), alipayHost],
  ['alipay, old', () => new OldAlipay(), alipayHost],
  ['douyin', () => new FakeDouyin(), douyinHost],
  ['jd', () => new FakeJd(), jdHost],
] as [string, () => FakeWechat, (api: FakeWechat) => Host][]) {
  test(`${name}: a silent death in the foreground is found out, and nothing is lost`, async () => {
    const { served, world, wx, line, seen, drops, publish } = await running(fake(), make);
    publish('before');
    await world.advance(100);
    served.cut(wx.task);
    publish('while it was dead');
    await world.advance(MINUTE);
    assert.deepEqual(drops, ['peer_silent']);
    assert.deepEqual(seen, ['before', 'while it was dead']);
    assert.equal(line.state, 'online');
  });

  test(`${name}: a restart of the gateway is survived although its close code may be lost`, async () => {
    const { served, world, seen, drops, publish } = await running(fake(), make);
    served.gateway.bye(
      { code: 'server_restart', message: '', reconnect: 'later', retry_after_ms: 500 },
      4001,
    );
    publish('missed');
    await world.advance(5_000);
    assert.deepEqual(drops, ['server_restart']);
    assert.deepEqual(seen, ['missed']);
  });

  test(`${name}: ten trips to the background leave no socket behind`, async () => {
    const { served, world, line, seen, publish } = await running(fake(), make);
    served.slotsMax = 2;
    for (let trip = 0; trip < 10; trip++) {
      line.notifyHide();
      await world.advance(10_000);
      publish(trip);
      line.notifyShow();
      await world.advance(5_000);
      assert.equal(line.state, 'online', `trip ${trip}`);
    }
    assert.deepEqual(seen, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert.equal(served.held.size, 1);
  });
}

test('no close is ever told: the line detaches by itself and waits for nobody', async () => {
  const { served, world, wx, seen, drops, publish } = await running(new FakeWechat(), wechatHost);
  served.tellsCloses = false;
  wx.emit('AppHide');
  await world.advance(1_000);
  served.kill();
  publish('missed');
  world.jump(9 * MINUTE);
  wx.emit('AppShow');
  await world.advance(100);
  assert.deepEqual(drops, ['background']);
  assert.deepEqual(seen, ['missed'], 'one connect and one round trip after show');
});

test('from show to the first missed publication: one connect, one round trip, one message', async () => {
  const { served, world, wx, seen, publish } = await running(new FakeWechat(), wechatHost);
  wx.emit('AppHide');
  served.kill();
  wx.emit('SocketClose', { code: 0, reason: 'interrupted' });
  publish('missed');
  world.jump(MINUTE);
  const dials = wx.tasks.length;
  wx.emit('AppShow');
  await world.advance(3 * 10);
  assert.deepEqual(seen, ['missed'], 'after the time of a connect, a hello and its answer');
  assert.equal(wx.tasks.length, dials + 1);
  assert.equal(wx.task.sent.length, 1);
});

test('only wx.onSocketClose tells of the kill: the line knows at once, and why', async () => {
  for (const code of [1000, 0]) {
    const { served, world, wx, line, drops } = await running(new FakeWechat(), wechatHost);
    wx.emit('AppHide');
    served.kill();
    wx.emit('SocketClose', { code, reason: 'interrupted' });
    assert.deepEqual(drops, ['background']);
    await world.advance(MINUTE);
    assert.equal(line.state, 'hidden', 'and does not try while nothing could succeed');
    wx.emit('AppShow');
    await world.advance(100);
    assert.equal(line.state, 'online');
  }
});

test('1000 "interrupted" in the foreground is no goodbye: the line comes back at once', async () => {
  const { served, world, wx, line, drops } = await running(new FakeWechat(), wechatHost);
  const { task } = wx;
  served.cut(task);
  task.closesWith(1000, 'interrupted');
  await world.advance(100);
  assert.deepEqual(drops, ['background']);
  assert.equal(line.state, 'online');
});

test('an open in the very tick of the dial is not missed', async () => {
  const wx = new FakeWechat();
  const served = new Served(wx);
  const serve = wx.onDial!;
  wx.onDial = (task) => {
    serve(task);
    // As soon as there is a listener, and before `connectSocket` has returned to whoever awaits it.
    const onOpen = task.onOpen.bind(task);
    task.onOpen = (listener) => {
      onOpen(listener);
      listener(undefined as never);
    };
  };
  served.answers = false;
  const line = new Tautline({ url: 'wss://a.example/connect', host: served.host(wechatHost) });
  line.connect();
  await served.world.advance(100);
  assert.equal(line.state, 'online');
});

test('a connect that is never answered is given up after its time, and the next one gets through', async () => {
  const wx = new FakeWechat();
  const served = new Served(wx);
  served.answers = false;
  const line = new Tautline({ url: 'wss://a.example/connect', host: served.host(wechatHost) });
  const drops: string[] = [];
  line.on('drop', ({ cause }) => drops.push(cause));
  line.connect();
  await served.world.advance(9_999);
  served.answers = true;
  await served.world.advance(200);
  assert.deepEqual(drops, ['connect_timeout']);
  assert.equal(line.state, 'online');
  assert.equal(served.held.size, 1, 'the task that hung was closed');
});

test('timers that froze for ten minutes and then fire all at once make one new connection', async () => {
  const { served, world, wx, line, seen, drops, publish } = await running(new FakeWechat(), wechatHost);
  const dials = wx.tasks.length;
  wx.emit('AppHide');
  served.kill();
  publish('missed');
  world.jump(10 * MINUTE);
  await world.advance(50);
  wx.emit('AppShow');
  await world.advance(200);
  assert.equal(line.state, 'online');
  assert.deepEqual(seen, ['missed']);
  assert.deepEqual(drops, ['background']);
  assert.equal(wx.tasks.length, dials + 1);
});

test('slots that others hold are waited for, less and less often', async () => {
  const wx = new FakeWechat();
  const served = new Served(wx);
  served.slotsMax = 0;
  const line = new Tautline({ url: 'wss://a.example/connect', host: served.host(wechatHost) });
  const causes = new Set<string>();
  line.on('drop', ({ cause }) => causes.add(cause));
  line.connect();
  await served.world.advance(5 * MINUTE);
  assert.deepEqual([...causes], ['slots_exhausted']);
  assert.ok(wx.tasks.length > 5 && wx.tasks.length < 60, `${wx.tasks.length} dials in five minutes`);
  served.slotsMax = 5;
  await served.world.advance(MINUTE);
  assert.equal(line.state, 'online');
});

test('at no moment are there more sockets than a host with two slots has', async () => {
  const { served, world, wx, line } = await running(new FakeWechat(), wechatHost);
  served.slotsMax = 2;
  let most = 0;
  const serve = wx.onDial!;
  wx.onDial = (task) => {
    serve(task);
    most = Math.max(most, served.held.size);
  };
  for (let flap = 0; flap < 20; flap++) {
    // Half open: it holds its slot, and nothing that is sent arrives.
    wx.task.onSend = undefined;
    wx.emit('NetworkStatusChange', { isConnected: flap % 2 === 1, networkType: flap % 2 ? 'wifi' : 'none' });
    await world.advance(3_000);
  }
  await world.advance(MINUTE);
  assert.equal(line.state, 'online');
  assert.ok(most > 0 && most <= 2, `${most} at once`);
});

test('on a weak network a ping may take twice as long before the line is given up', async () => {
  const { served, world, wx, drops } = await running(new FakeWechat(), wechatHost);
  wx.emit('NetworkWeakChange', { weakNet: true, networkType: 'wifi' });
  served.cut(wx.task);
  // The first ping tells what was settled, 5 s after that.
  await world.advance(5_000 + 15_000);
  assert.deepEqual(drops, []);
  await world.advance(2_000);
  assert.deepEqual(drops, ['peer_silent']);
});

test('a plugin, which has no life cycle, is told by the app and comes back like any other', async () => {
  const { served, world, line, seen, publish } = await running(new FakeWechat('plugin'), wechatHost);
  line.notifyHide();
  served.kill();
  publish('missed');
  world.jump(MINUTE);
  line.notifyShow();
  await world.advance(200);
  assert.deepEqual(seen, ['missed']);
});
