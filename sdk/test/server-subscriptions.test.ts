/** Channels to which the gateway subscribes by itself, and subscriptions that it refuses for now. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Tautline, type SubscriptionHandlers, type TautlineOptions } from '../src/index.js';
import { storage } from '../src/storage.js';
import type { Device } from '../src/storage-backends.js';
import { World } from './fakes/world.js';

/** A line of the user `u1`, whose login subscribes to `tasks`, where three tasks are and one is acknowledged. */
function made(options: Partial<TautlineOptions> = {}) {
  const world = new World();
  world.gateway.user = 'u1';
  world.gateway.subs = ['tasks'];
  for (const n of [1, 2, 3]) world.gateway.publish('tasks', n, world.now());
  world.gateway.acked.set('tasks', 1);
  const line = new Tautline({ url: 'ws://a.example/connect', host: world, ...options });
  const publish = async (data: unknown): Promise<void> => {
    world.gateway.publish('tasks', data, world.now());
    await world.advance(100);
  };
  return { world, line, publish };
}

function noting(seen: unknown[]): SubscriptionHandlers {
  return {
    onSubscribed: ({ cursor, recovering }) => seen.push(`at ${cursor.offset}+${recovering}`),
    onPublication: ({ data }) => seen.push(data),
    onUnsubscribed: ({ code }) => seen.push(code),
  };
}

test('channel of the login is announced and heard from its beginning', async () => {
  const { world, line, publish } = made();
  const seen: unknown[] = [];
  const announced: unknown[] = [];
  line.on('subscription', ({ channel, recovering }) => {
    announced.push([channel, recovering]);
    line.subscribe(channel, noting(seen));
  });
  line.connect();
  await world.advance(100);
  await publish(4);
  assert.deepEqual(announced, [['tasks', 2]]);
  assert.deepEqual(seen, ['at 1+2', 2, 3, 4]);
  assert.deepEqual(world.gateway.all('subscribe'), [], 'the gateway had subscribed it');
  assert.deepEqual(world.gateway.all('unsubscribe'), []);
  await world.advance(10_000);
  assert.equal(world.gateway.acked.get('tasks'), 4);
});

test('channel of the login goes on from its cursor after a cut', async () => {
  const { world, line, publish } = made();
  const seen: unknown[] = [];
  let announced = 0;
  line.on('subscription', ({ channel }) => {
    announced++;
    line.subscribe(channel, noting(seen));
  });
  line.connect();
  await world.advance(100);
  world.cut();
  world.gateway.publish('tasks', 4, world.now());
  await world.advance(5_000);
  await publish(5);
  assert.deepEqual(seen, ['at 1+2', 2, 3, 'at 3+1', 4, 5]);
  assert.equal(announced, 1, "it is the app's by then");
});

test('channel that nobody takes is announced on each connection', async () => {
  const { world, line, publish } = made();
  const announced: unknown[] = [];
  line.on('subscription', ({ cursor, recovering }) => announced.push([cursor.offset, recovering]));
  line.connect();
  await world.advance(100);
  world.cut();
  await world.advance(5_000);
  assert.deepEqual(announced, [
    [1, 2],
    [3, 0],
  ]);
  const seen: unknown[] = [];
  line.subscribe('tasks', noting(seen));
  await world.advance(100);
  await publish(4);
  assert.deepEqual(seen, ['at 3+0', 4], 'who comes late begins with what follows');
});

test('app that asks by name hears nothing of the announcement', async () => {
  const { world, line, publish } = made();
  const seen: unknown[] = [];
  line.on('subscription', () => seen.push('announced'));
  line.subscribe('tasks', { ...noting(seen), from: 'start' });
  await world.advance(100);
  await publish(4);
  assert.deepEqual(seen, ['at 0+3', 1, 2, 3, 4]);
});

test('gateway ends a channel of the login', async () => {
  const { world, line, publish } = made();
  const seen: unknown[] = [];
  line.on('subscription', ({ channel }) => line.subscribe(channel, noting(seen)));
  line.connect();
  await world.advance(100);
  world.gateway.tell({ unsubscribed: { channel: 'tasks', code: 'permission_denied', message: '' } });
  await world.advance(100);
  await publish(4);
  assert.deepEqual(seen, ['at 1+2', 2, 3, 'permission_denied']);
});

test('restored app goes on in a channel of its login', async () => {
  const texts = new Map<string, string>();
  const device: Device = {
    get: (key) => texts.get(key) ?? '',
    set: (key, text) => void texts.set(key, text),
    remove: (key) => void texts.delete(key),
  };
  const { world, line } = made({ storage: storage({ device }) });
  const before: unknown[] = [];
  line.on('subscription', ({ channel }) => line.subscribe(channel, noting(before)));
  line.connect();
  await world.advance(5_000);
  // The app is destroyed, and tasks come that another device acknowledges.
  world.wire.dead = true;
  world.gateway.publish('tasks', 4, world.now());
  world.gateway.acked.set('tasks', 4);
  const next = new Tautline({ url: 'ws://a.example/connect', host: world, storage: storage({ device }) });
  const after: unknown[] = [];
  next.on('subscription', ({ channel }) => next.subscribe(channel, noting(after)));
  next.connect();
  await world.advance(100);
  assert.deepEqual(before, ['at 1+2', 2, 3]);
  assert.deepEqual(after, ['at 3+1', 4]);
});

test('subscription that is refused for now is asked for again', async () => {
  const { world, line } = made();
  const seen: unknown[] = [];
  world.gateway.refusedSubscribes.push(
    { code: 'unavailable', message: 'the back end does not answer' },
    { code: 'rate_limited', message: '', retry_after_ms: 5_000 },
    { code: 'overloaded', message: '' },
  );
  line.subscribe('room:7', noting(seen));
  await world.advance(4_000);
  assert.deepEqual(seen, []);
  await world.advance(10_000);
  assert.equal(world.gateway.all('subscribe').length, 4);
  assert.deepEqual(seen, ['at 0+0']);
});

test('subscription that is refused for good ends', async () => {
  const { world, line } = made();
  const seen: unknown[] = [];
  world.gateway.refusedSubscribes.push(
    { code: 'unavailable', message: '' },
    { code: 'permission_denied', message: '' },
  );
  line.subscribe('room:7', noting(seen));
  await world.advance(60_000);
  assert.equal(world.gateway.all('subscribe').length, 2);
  assert.deepEqual(seen, ['permission_denied']);
});
