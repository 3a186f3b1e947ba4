/** Taro and uni-app where nothing is underneath them: they are hosts of their own, and hostile ones. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Host } from '../src/host.js';
import { frameworkHost, type Framework } from '../src/hosts/framework.js';
import { FakeTaro, FakeTaroNative, FakeUniApp, type PromisedTask } from './fakes/frameworks.js';
import { heard } from './fakes/heard.js';
import { Served } from './fakes/served.js';
import { Tautline } from '../src/index.js';

/** As on a native app: without the WebSocket that newer versions of Node have. */
function alone(framework: Framework): Host {
  const here = globalThis as { WebSocket?: unknown };
  const { WebSocket } = here;
  delete here.WebSocket;
  try {
    return frameworkHost(framework);
  } finally {
    if (WebSocket) here.WebSocket = WebSocket;
  }
}

test('uni-app, native: callbacks are passed, so that there is a task, and a failure that is told thrice is one', () => {
  const uni = new FakeUniApp();
  const { seen, tell } = heard();
  const host = alone(uni);
  assert.equal(host.platform, 'app');
  host.dial('wss://a.example/connect', undefined, 1, tell);
  uni.failsTwice('connectSocket:fail timeout');
  assert.deepEqual(seen, [
    { code: undefined, reason: 'connectSocket:fail timeout', cause: 'connect_timeout' },
  ]);
});

test('uni-app, native: a close that does nothing on a half-open socket is not waited for', async () => {
  const uni = new FakeUniApp();
  const served = new Served(uni);
  served.tellsCloses = false;
  const line = new Tautline({ url: 'wss://a.example/connect', host: served.host(() => alone(uni)) });
  const drops: string[] = [];
  line.on('drop', ({ cause }) => drops.push(cause));
  line.connect();
  await served.world.advance(100);
  const old = uni.task;
  // It still says that everything was sent.
  old.onSend = () => {};
  await served.world.advance(60_000);
  assert.deepEqual(drops, ['peer_silent']);
  assert.equal(line.state, 'online');
  old.receives('{"bye":{"code":"kicked","message":"","reconnect":"never"}}');
  assert.equal(line.state, 'online', "what leaks from the old socket is not the new one's");
});

test('Taro, where it promises a task: the global events are heard, from the same tick on', () => {
  const taro = new FakeTaro();
  const { seen, tell } = heard();
  const socket = alone(taro).dial('wss://a.example/connect', undefined, 1, tell);
  taro.task.opens();
  taro.task.receives('hello');
  socket.send('{}');
  assert.deepEqual(seen, ['open', 'hello']);
  assert.deepEqual(taro.task.sent, ['{}']);
});

/** The promise of a task is kept or broken, and whoever waited for it has heard. */
const promiseKept = async (taro: FakeTaroNative): Promise<void> => {
  await taro.kept;
  await new Promise((resolve) => setTimeout(resolve, 0));
};

test('Taro, where only a promise comes: the task is listened to when it is there', async () => {
  const taro = new FakeTaroNative();
  const { seen, tell } = heard();
  const socket = alone(taro).dial('wss://a.example/connect', undefined, 1, tell);
  await promiseKept(taro);
  taro.task.opens();
  taro.task.receives('hello');
  socket.send('{}');
  taro.task.closesWith(1006, 'abnormal closure');
  assert.deepEqual(seen, [
    'open',
    'hello',
    { code: 1006, reason: 'abnormal closure', cause: 'network_lost' },
  ]);
  assert.deepEqual(taro.task.sent, ['{}']);
});

test('Taro, where only a promise comes: a task that has opened in the meantime is open', async () => {
  const taro = new FakeTaroNative();
  const { seen, tell } = heard();
  alone(taro).dial('wss://a.example/connect', undefined, 1, tell);
  (taro.task as PromisedTask).readyState = 1;
  await promiseKept(taro);
  assert.deepEqual(seen, ['open']);
});

test('Taro, where only a promise comes: a socket that is given up meanwhile is closed when it opens', async () => {
  const taro = new FakeTaroNative();
  const { seen, tell } = heard();
  const socket = alone(taro).dial('wss://a.example/connect', undefined, 1, tell);
  socket.close(1000, '');
  await promiseKept(taro);
  taro.task.opens();
  assert.deepEqual(taro.task.closes.at(-1), { code: 1000, reason: '' });
  assert.ok(!seen.includes('open'));
});

test('Taro, where only a promise comes: one that is broken is a failure with its words', async () => {
  const taro = new FakeTaroNative();
  taro.refuses = 'connectSocket:fail timeout';
  const { seen, tell } = heard();
  alone(taro).dial('wss://a.example/connect', undefined, 1, tell);
  await promiseKept(taro);
  assert.equal((seen[0] as { cause: string }).cause, 'connect_timeout');
  assert.equal(seen.length, 1);
});

test('Taro, where only a promise comes: a line opens, asks, and is answered', async () => {
  const taro = new FakeTaroNative();
  const served = new Served(taro);
  const line = new Tautline({ url: 'wss://a.example/connect', host: served.host(() => alone(taro)) });
  const answer = line.call('echo', 7);
  await promiseKept(taro);
  await served.world.advance(100);
  assert.equal(line.state, 'online');
  assert.deepEqual(await answer, 7);
});
