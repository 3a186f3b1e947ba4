/** A host that says there is no network slows a line down, and never stops it: hosts are wrong about it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { browserHost } from '../src/hosts/browser.js';
import { wechatHost } from '../src/hosts/wechat.js';
import { Tautline } from '../src/index.js';
import { FakeWindow } from './fakes/browser.js';
import { lined } from './fakes/lined.js';
import { Served } from './fakes/served.js';
import { FakeWechat } from './fakes/wechat.js';
import { World } from './fakes/world.js';

const URL = 'ws://a.example/connect';

test('a browser whose onLine is always false is served as any other', async () => {
  const world = new World();
  const window = new FakeWindow();
  window.navigator.onLine = false;
  const line = new Tautline({ url: URL, host: { ...world, watch: browserHost(window).watch } });
  const heard: unknown[] = [];
  line.subscribe('room:7', { onPublication: ({ data }) => heard.push(data) });
  await world.advance(100);
  assert.equal(line.state, 'online');
  window.emit('offline');
  await world.advance(10_000);
  assert.equal(line.state, 'online', 'a line that answers stays');
  world.cut();
  world.gateway.publish('room:7', 'missed', world.now());
  await world.advance(5_100);
  assert.deepEqual([line.state, heard], ['online', ['missed']]);
});

test('a network of type none before the first use does not keep it from dialling', async () => {
  const wx = new FakeWechat();
  wx.networkType = 'none';
  const served = new Served(wx);
  const line = new Tautline({ url: URL, host: served.host(wechatHost) });
  const published = line.publish('room:7', 'hi');
  await served.world.advance(100);
  assert.equal((await published).offset, 1);
});

test('offline that is told once and never taken back is no end', async () => {
  const { world, line } = await lined();
  world.unreachable = true;
  world.watcher?.({ type: 'network', online: false, kind: 'none' });
  world.cut();
  await world.advance(1_000);
  assert.equal(line.state, 'offline');
  await world.advance(599_000);
  const dials = world.wires.length - 1;
  assert.ok(dials > 15 && dials < 25, `${dials} dials in ten minutes`);
  world.unreachable = false;
  await world.advance(30_100);
  assert.equal(line.state, 'online');
  // The welcome has proved the host wrong: the next loss is one like any other.
  world.cut();
  await world.advance(100);
  assert.equal(line.state, 'online');
});

test('connect dials at once, whatever the host says', async () => {
  const { world, line } = await lined();
  world.unreachable = true;
  world.watcher?.({ type: 'network', online: false });
  world.cut();
  await world.advance(100_000);
  assert.equal(line.state, 'offline');
  world.unreachable = false;
  line.connect();
  await world.advance(100);
  assert.equal(line.state, 'online');
});

test('a request of an app that is offline expires in its time', async () => {
  const { world, line } = await lined();
  world.unreachable = true;
  world.watcher?.({ type: 'network', online: false });
  world.cut();
  await world.advance(1_000);
  const expired = assert.rejects(line.publish('room:7', 'hi', { timeout: 2_000 }), { code: 'expired' });
  await world.advance(2_000);
  await expired;
});

test('in the background nothing is dialled and no timer is set, also while offline', async () => {
  const { world, line } = await lined({ background: true });
  world.watcher?.({ type: 'network', online: false });
  world.cut();
  await world.advance(100);
  line.notifyHide();
  const dials = world.wires.length;
  await world.advance(600_000);
  assert.deepEqual([line.state, world.wires.length, world.pendingTimers], ['hidden', dials, 0]);
});
