/** One socket for the whole app, whose events do not say whose they are. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { jdHost } from '../src/hosts/wechat-compatible.js';
import { alipayHost } from '../src/hosts/alipay.js';
import { OldAlipay } from './fakes/alipay.js';
import { FakeJd } from './fakes/global-socket.js';
import { heard } from './fakes/heard.js';
import { Served } from './fakes/served.js';
import { FakeWechat } from './fakes/wechat.js';
import { wechatHost } from '../src/hosts/wechat.js';
import { Tautline } from '../src/index.js';

function twice() {
  const jd = new FakeJd();
  const host = jdHost(jd);
  const first = heard();
  const second = heard();
  const old = host.dial('wss://a.example/connect', undefined, 1, first.tell);
  jd.task.opens();
  /** The old one was given up, and the host has not said a word. */
  function again() {
    old.close(1000, '');
    return host.dial('wss://a.example/connect', undefined, 2, second.tell);
  }
  return { jd, host, first, second, old, again };
}

test('jd: the line uses one socket at a time', () => {
  assert.equal(jdHost(new FakeJd()).slots, 1);
});

test('the end of the old socket that comes after the new dial is not the end of the new one', () => {
  const { jd, first, second, again } = twice();
  again();
  jd.emit('SocketClose', { code: 1006, reason: 'late' });
  jd.emit('SocketOpen', {});
  jd.emit('SocketMessage', { data: 'hello' });
  assert.deepEqual(first.seen, ['open', { code: 1006, reason: 'late', cause: undefined }]);
  assert.deepEqual(second.seen, ['open', 'hello']);
});

test('an end after the new one has opened is its own', () => {
  const { jd, first, second, again } = twice();
  again();
  jd.emit('SocketOpen', {});
  jd.emit('SocketClose', { code: 1006, reason: '' });
  assert.deepEqual(first.seen, ['open']);
  assert.equal(second.seen.length, 2);
});

test('a dial that fails after the old socket has ended is told of its own failure', () => {
  const { jd, host, second } = twice();
  jd.emit('SocketClose', { code: 1000, reason: '' });
  host.dial('wss://a.example/connect', undefined, 2, second.tell);
  jd.emit('SocketClose', { code: 1006, reason: 'no route' });
  assert.deepEqual(second.seen, [{ code: 1006, reason: 'no route', cause: 'network_lost' }]);
});

test('whoever closes an old socket does not close the new one', () => {
  const { jd, old, again } = twice();
  again();
  old.close(1000, '');
  assert.equal(jd.task.closes.length, 0);
});

test('listeners that cannot be taken off are put on once, those that can are renewed', () => {
  const { jd, again } = twice();
  again();
  assert.equal(jd.listening('SocketMessage'), 1);
  const my = new OldAlipay();
  const host = alipayHost(my);
  host.dial('wss://a.example', undefined, 1, () => {});
  my.emit('SocketClose', { code: 1006, reason: '' });
  host.dial('wss://a.example', undefined, 2, () => {});
  assert.equal(my.listening('SocketMessage'), 1);
});

/** A phone whose app has one socket, and lines over it: each with a host object of its own. */
function phone() {
  const jd = new FakeJd();
  const served = new Served(jd);
  served.slotsMax = 1;
  const line = () => {
    const it = new Tautline({ url: 'wss://a.example/connect', host: served.host(jdHost) });
    const drops: string[] = [];
    it.on('drop', ({ cause, reason }) => drops.push(`${cause}: ${reason}`));
    it.connect();
    return { it, drops };
  };
  return { jd, served, world: served.world, line };
}

test('a second line comes online after the first was closed', async () => {
  const { jd, world, line } = phone();
  const a = line();
  await world.advance(100);
  a.it.close();
  await world.advance(100);
  const b = line();
  await world.advance(100);
  assert.equal(b.it.state, 'online');
  assert.deepEqual(b.drops, []);
  assert.deepEqual(
    jd.tasks.map((task) => task.closes.length),
    [1, 0],
  );
});

test('two live lines: the second gets one clear error, the first lives', async () => {
  const { world, line } = phone();
  const a = line();
  await world.advance(100);
  const b = line();
  await world.advance(60_000);
  assert.deepEqual([a.it.state, a.drops], ['online', []]);
  assert.deepEqual(
    [...new Set(b.drops)],
    ['slots_exhausted: the one socket already exists, in another line'],
  );
  a.it.close();
  await world.advance(60_000);
  assert.equal(b.it.state, 'online');
});

for (const end of ['close', 'notifyHide'] as const) {
  test(`a socket of the app's own is left alone after ${end}`, async () => {
    const { jd, world, line } = phone();
    const a = line();
    await world.advance(100);
    a.it[end]();
    await world.advance(30_000);
    jd.connectSocket({ url: 'wss://b.example' });
    jd.emit('SocketOpen', {});
    jd.emit('SocketMessage', { data: 'not for us' });
    await world.advance(30_000);
    assert.equal(jd.task.closes.length, 0);
    assert.equal(jd.listening('SocketOpen'), 1);
  });
}

test('fifty closed lines leave one set of listeners', async () => {
  const { jd, world, line } = phone();
  const wx = new FakeWechat();
  for (let i = 0; i < 50; i++) {
    const { it } = line();
    await world.advance(100);
    it.close();
    await world.advance(100);
    wechatHost(wx)
      .dial('wss://a.example/connect', undefined, 1, () => {})
      .close(1000, '');
  }
  assert.equal(jd.listening('SocketMessage'), 1);
  assert.equal(wx.listening('SocketClose'), 1);
});
