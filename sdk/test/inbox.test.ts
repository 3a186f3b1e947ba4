/** The user's own channel, listened to once for the life of the line. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Tautline, type InboxHandlers, type TautlineOptions } from '../src/index.js';
import { page } from '../src/page.js';
import { storage } from '../src/storage.js';
import { World } from './fakes/world.js';

const OWN = 'user:u42';

/** A line of the user `u42`, who is not known before the first welcome. */
function lined(options: Partial<TautlineOptions> = {}) {
  const world = new World();
  world.gateway.user = 'u42';
  const line = new Tautline({ url: 'ws://a.example/connect', host: world, ...options });
  const push = async (data: unknown, channel = OWN): Promise<void> => {
    world.gateway.publish(channel, data, world.now());
    await world.advance(100);
  };
  return { world, line, push };
}

/** Handlers that note what they hear. */
function noting(seen: unknown[]): InboxHandlers {
  return {
    onPublication: ({ data }) => seen.push(data),
    onSubscribed: ({ channel, cursor, recovering }) => seen.push(`${channel}@${cursor.offset}+${recovering}`),
    onGap: ({ reason }) => seen.push(reason),
    onUnsubscribed: ({ code }) => seen.push(code),
  };
}

test('an inbox hears each push once through three cuts', async () => {
  const { world, line, push } = lined();
  const seen: unknown[] = [];
  line.inbox({ onPublication: ({ data }) => seen.push(data) });
  await push('before');
  for (const cut of [1, 2, 3]) {
    world.cut();
    world.gateway.publish(OWN, `missed ${cut}`, world.now());
    await world.advance(5_000);
    await push(cut);
  }
  assert.deepEqual(seen, ['before', 'missed 1', 1, 'missed 2', 2, 'missed 3', 3]);
  assert.equal(line.state, 'online', 'it connects, as a subscription does');
  assert.deepEqual(world.gateway.all('subscribe'), [], 'the gateway subscribes it');
  await world.advance(10_000);
  assert.equal(world.gateway.acked.get(OWN), 7);
});

test('an inbox that is added late begins at acked', async () => {
  for (const away of [false, true]) {
    const { world, line, push } = lined();
    world.gateway.acked.set(OWN, 1);
    for (const n of [1, 2]) await push(n);
    line.connect();
    await world.advance(100);
    await push(3);
    if (away) world.cut();
    const seen: unknown[] = [];
    line.inbox(noting(seen));
    await world.advance(200);
    await push(4);
    assert.deepEqual(seen, [`${OWN}@1+2`, 2, 3, 4], away ? 'without a connection' : 'on a connection');
  }
});

test('two inboxes hear all once, and leave alone', async () => {
  const { world, line, push } = lined();
  const first: unknown[] = [];
  const second: unknown[] = [];
  const its = line.inbox(noting(first));
  await push(1);
  line.inbox(noting(second));
  await push(2);
  its.unsubscribe();
  its.unsubscribe();
  world.cut();
  await world.advance(100);
  await push(3);
  assert.deepEqual(first, [`${OWN}@0+1`, 1, 2]);
  assert.deepEqual(second, [`${OWN}@1+1`, 2, `${OWN}@2+0`, 3]);
  assert.equal(world.gateway.all('unsubscribe').length, 0);
});

test('an inbox beside a subscription from the start', async () => {
  const { world, line, push } = lined();
  world.gateway.acked.set(OWN, 2);
  for (const n of [1, 2, 3]) await push(n);
  const inbox: unknown[] = [];
  const all: unknown[] = [];
  line.inbox(noting(inbox));
  line.subscribe(OWN, { from: 'start', onPublication: ({ data }) => all.push(data) });
  await world.advance(300);
  await push(4);
  assert.deepEqual(inbox, [`${OWN}@2+1`, 3, 4]);
  assert.deepEqual(all, [1, 2, 3, 4]);
});

test('an inbox goes over to another user', async () => {
  const { world, line, push } = lined();
  const seen: unknown[] = [];
  line.inbox(noting(seen));
  await push('for u42');
  await world.advance(10_000);
  world.gateway.forget();
  world.gateway.user = 'u43';
  world.gateway.acked.set('user:u43', 1);
  for (const n of [1, 2]) world.gateway.publish('user:u43', n, world.now());
  world.cut();
  await world.advance(10_000);
  await push('late for u42');
  await push(3, 'user:u43');
  world.gateway.forget();
  world.gateway.user = undefined;
  world.cut();
  await world.advance(10_000);
  await push('nobody is here', 'user:u43');
  world.gateway.forget();
  world.gateway.user = 'u42';
  world.cut();
  await world.advance(10_000);
  assert.deepEqual(seen, [`${OWN}@0+1`, 'for u42', 'user:u43@1+1', 2, 3, `${OWN}@1+1`, 'late for u42']);
});

test('an inbox that the gateway ends is back with the next welcome', async () => {
  const { world, line, push } = lined();
  const seen: unknown[] = [];
  line.inbox(noting(seen));
  await push(1);
  await world.advance(10_000);
  world.gateway.tell({ unsubscribed: { channel: OWN, code: 'limit', message: '' } });
  await world.advance(100);
  world.cut();
  await world.advance(200);
  await push(2);
  assert.deepEqual(seen.slice(0, 3), [`${OWN}@0+1`, 1, 'limit']);
  assert.deepEqual(seen.slice(-2), [`${OWN}@1+0`, 2]);
});

test('an inbox of a page ends with it', async () => {
  const { line, push } = lined();
  const seen: unknown[] = [];
  const its = page(line);
  its.inbox({ onPublication: ({ data }) => seen.push(data) });
  await push(1);
  its.unload();
  its.inbox({ onPublication: ({ data }) => seen.push(data) });
  await push(2);
  assert.deepEqual(seen, [1]);
});

test('an inbox leaves a stopped line stopped', async () => {
  const { world, line } = lined();
  world.gateway.refusal = { code: 'kicked', message: '', reconnect: 'never' };
  line.connect();
  await world.advance(100);
  assert.equal(line.state, 'stopped');
  line.inbox({});
  await world.advance(100);
  assert.equal(line.state, 'stopped');
});

test('an inbox of a closed line hears nothing', async () => {
  const { line, push } = lined();
  const seen: unknown[] = [];
  line.inbox(noting(seen));
  line.close();
  line.inbox(noting(seen));
  await push(1);
  assert.deepEqual(seen, []);
});

test('an inbox goes on where the app before it was', async () => {
  const texts = new Map<string, string>();
  const device = {
    get: (key: string) => texts.get(key),
    set: (key: string, text: string) => void texts.set(key, text),
    remove: () => {},
  };
  const { world, line, push } = lined({ storage: storage({ device }) });
  line.inbox({});
  await push(1);
  await world.advance(2_000);
  world.wire.dead = true;
  const stored = texts.get('tautline:line')!;
  world.gateway.forget();
  world.gateway.publish(OWN, 2, world.now());
  texts.set('tautline:line', stored);
  const next = new Tautline({ url: 'ws://a.example/connect', host: world, storage: storage({ device }) });
  const seen: unknown[] = [];
  next.inbox({ onPublication: ({ data }) => seen.push(data) });
  await world.advance(200);
  assert.deepEqual(seen, [2]);
});
