/** What many requests cost that are made in one go: few messages, few writes, and all in order. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Tautline, type TautlineError } from '../src/index.js';
import { storage } from '../src/storage.js';
import { World } from './fakes/world.js';

const MANY = 1_000;

/** A line whose writes and messages are counted. */
function counted(unreachable = false) {
  const world = new World();
  const counts = { writes: 0, messages: 0 };
  const texts = new Map<string, string>();
  const set = (key: string, text: string): void => {
    counts.writes++;
    texts.set(key, text);
  };
  const receive = world.gateway.receive.bind(world.gateway);
  world.gateway.receive = (...message) => {
    counts.messages++;
    receive(...message);
  };
  world.unreachable = unreachable;
  const device = {
    get: (key: string) => texts.get(key),
    set,
    remove: (key: string) => void texts.delete(key),
  };
  const line = new Tautline({
    url: 'ws://a.example/connect',
    host: world,
    storage: storage({ device, store_bytes_max: 1_048_576 }),
  });
  const stored = () => (JSON.parse(texts.get('tautline:line')!) as { requests: unknown[] }).requests.length;
  return { world, line, counts, stored };
}

test('a thousand requests in one go are written twice', async () => {
  const { world, line, counts, stored } = counted(true);
  line.connect();
  await world.advance(10);
  counts.writes = 0;
  const all = Array.from({ length: MANY }, (_, n) => line.publish('room:7', n, { timeout: 600_000 }));
  assert.equal(stored(), 1, 'the first one at once');
  await world.advance(0);
  assert.equal(stored(), MANY);
  assert.equal(counts.writes, 2);
  world.unreachable = false;
  line.connect();
  await world.advance(60_000);
  const where = await Promise.all(all);
  assert.deepEqual(
    where.map(({ offset }) => offset),
    all.map((_, n) => n + 1),
    'in order, each once',
  );
});

test('requests in one go leave in one message', async () => {
  const { world, line, counts } = counted();
  line.connect();
  await world.advance(100);
  counts.messages = 0;
  const all = Array.from({ length: 200 }, (_, n) => line.call('echo', n));
  await world.advance(100);
  assert.deepEqual(
    await Promise.all(all),
    all.map((_, n) => n),
  );
  assert.equal(counts.messages, 2, 'the first one at once, and the rest');
});

test('what is asked between requests keeps its place', async () => {
  const { world, line } = counted();
  line.connect();
  await world.advance(100);
  line.publish('room:7', 1).catch(() => {});
  line.publish('room:7', 2).catch(() => {});
  line.subscribe('room:7', { from: 'start' });
  line.publish('room:7', 3).catch(() => {});
  const late = line.publish('room:7', 4).catch((error: TautlineError) => error.code);
  line.close();
  await world.advance(100);
  const verbs = world.gateway.received
    .map((packet) => Object.keys(packet).filter((key) => /publish|subscribe|bye/.test(key))[0])
    .filter(Boolean);
  assert.deepEqual(verbs, ['publish', 'publish', 'subscribe', 'publish', 'publish', 'bye']);
  assert.equal(await late, 'closed');
});

test('room that settled requests leave is there again', async () => {
  const world = new World();
  const line = new Tautline({
    url: 'ws://a.example/connect',
    host: world,
    outbox_count_max: 3,
    outbox_full: 'drop_oldest_volatile',
  });
  const codes: string[] = [];
  for (let round = 0; round < 5; round++) {
    for (let n = 0; n < 5; n++)
      line.call('echo', n, { volatile: n < 1 }).catch((error: TautlineError) => codes.push(error.code));
    await world.advance(1_000);
  }
  assert.equal(world.gateway.executed.length, 15, 'three of five each time');
  assert.deepEqual([...new Set(codes)], ['overflow']);
  assert.equal(codes.length, 10);
});
