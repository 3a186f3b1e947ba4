/** A slot is free when the host says so: after an error, after a close that it refused, while it still connects. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WebsocketHeartbeat } from '../src/entries/heartbeat.js';
import { jdHost } from '../src/hosts/wechat-compatible.js';
import { wechatHost } from '../src/hosts/wechat.js';
import { Tautline, type TautlineOptions } from '../src/index.js';
import { FakeJd } from './fakes/global-socket.js';
import { Served } from './fakes/served.js';
import { FakeWechat } from './fakes/wechat.js';

/** A line over a host with a gateway behind it, and what was asked of the host, in order. */
async function running(wx: FakeWechat, make: typeof wechatHost, options: Partial<TautlineOptions> = {}) {
  const served = new Served(wx);
  const asked: string[] = [];
  const causes: string[] = [];
  let most = 0;
  const serve = wx.onDial!;
  wx.onDial = (task) => {
    const number = wx.tasks.length;
    asked.push(`dial ${number}`);
    serve(task);
    most = Math.max(most, served.held.size);
    const { onClosing } = task;
    task.onClosing = () => {
      asked.push(`close ${number}`);
      onClosing?.();
    };
  };
  const line = new Tautline({ url: 'wss://a.example/connect', host: served.host(make), ...options });
  line.on('drop', ({ cause }) => causes.push(cause));
  line.connect();
  await served.world.advance(100);
  return { served, world: served.world, wx, line, asked, causes, most: () => most };
}

test('an error without a close: close first, then dial', async () => {
  const { world, wx, asked, line } = await running(new FakeWechat(), wechatHost);
  wx.task.errs('abnormal closure');
  await world.advance(100);
  assert.deepEqual(asked, ['dial 1', 'close 1', 'dial 2']);
  assert.equal(line.state, 'online');
});

test('with one slot a dial waits for the close', async () => {
  const { served, world, wx, line, causes, most } = await running(new FakeWechat(), wechatHost, { slots: 1 });
  served.slotsMax = 1;
  wx.task.errs('abnormal closure');
  assert.equal(wx.tasks.length, 1);
  await world.advance(100);
  assert.deepEqual([line.state, causes, most()], ['online', ['network_lost'], 1]);
});

test('jd: one onSocketError costs no refused dial', async () => {
  const { served, world, wx, line, causes } = await running(new FakeJd(), jdHost);
  served.slotsMax = 1;
  wx.task.errs('abnormal closure');
  await world.advance(200);
  assert.deepEqual([line.state, causes, wx.tasks.length], ['online', ['network_lost'], 2]);
});

test('a host that never says closed is waited for two seconds', async () => {
  const { served, world, wx, line } = await running(new FakeWechat(), wechatHost, { slots: 1 });
  served.tellsCloses = false;
  wx.task.errs('abnormal closure');
  await world.advance(1_900);
  assert.equal(wx.tasks.length, 1);
  await world.advance(200);
  assert.equal(line.state, 'online');
});

test('heartbeat: hidden for two seconds, ten times: two sockets at most', async () => {
  const wx = new FakeWechat();
  const served = new Served(wx);
  const { world } = served;
  const task = await WebsocketHeartbeat({
    connectSocketParams: { url: 'wss://a.example/ws' },
    host: served.host(wechatHost),
    pingTimeout: 1_000,
    pongTimeout: 500,
    reconnectTimeout: 100,
  });
  await world.advance(100);
  for (let trip = 0; trip < 10; trip++) {
    served.hide();
    await world.advance(2_000);
    served.show();
    await world.advance(300);
    assert.ok(served.held.size <= 2, `${served.held.size} sockets after ${trip + 1} trips`);
  }
  task.close();
  await world.advance(5_000);
  assert.equal(served.held.size, 0);
});

test('a half-open line hidden for 4.5 s, four times: two sockets at most', async () => {
  const { served, world, wx, line, most } = await running(new FakeWechat(), wechatHost);
  served.slotsMax = 2;
  for (let trip = 0; trip < 4; trip++) {
    // It holds its slot, and nothing that is sent arrives.
    wx.task.onSend = undefined;
    served.hide();
    await world.advance(4_500);
    served.show();
    await world.advance(1_000);
    assert.equal(line.state, 'online', `trip ${trip}`);
  }
  assert.equal(most(), 2);
  await world.advance(5_000);
  assert.equal(served.held.size, 1);
});

test('a line that is closed while hidden is closed on show', async () => {
  const { served, world, wx, line } = await running(new FakeWechat(), wechatHost);
  served.hide();
  line.close();
  await world.advance(1_000);
  assert.equal(served.held.size, 1, 'the host has refused');
  assert.equal(wx.listening('AppShow'), 1);
  served.show();
  await world.advance(100);
  assert.equal(served.held.size, 0);
  assert.equal(wx.listening('AppShow'), 0, 'and nobody listens any more');
});
