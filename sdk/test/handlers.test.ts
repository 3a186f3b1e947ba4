/** Handlers that give promises: order holds, and a publication is handled when its promise is kept. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Tautline, type SubscriptionHandlers, type TautlineError } from '../src/index.js';
import { forwarding } from '../src/forwarding.js';
import { page } from '../src/page.js';
import { storage } from '../src/storage.js';
import { lined } from './fakes/lined.js';
import { World } from './fakes/world.js';

/** Longer than `report_ms`: what was handled is told by then. */
const REPORTED = 6_000;

/** A handler at work: it notes when it begins, and goes on when a test says so. */
class Work {
  readonly begun: unknown[] = [];
  private readonly ends: ((error?: Error) => void)[] = [];
  readonly handler = ({ data }: { data: unknown }): Promise<void> => {
    this.begun.push(data);
    return new Promise((resolve, reject) => this.ends.push((error) => (error ? reject(error) : resolve())));
  };
  /** The oldest work is done, or fails. */
  end(error?: Error): void {
    this.ends.shift()!(error);
  }
}

test('the next publication waits for the promise of the last', async () => {
  const { world, line, publish } = await lined();
  const work = new Work();
  const other: unknown[] = [];
  line.subscribe('orders', { from: 'acked', onPublication: work.handler });
  line.subscribe('orders', { onPublication: ({ data }) => other.push(data) });
  await world.advance(100);
  for (const n of [1, 2, 3]) await publish('orders', n);
  assert.deepEqual([work.begun, other], [[1], [1, 2, 3]]);
  await world.advance(REPORTED);
  assert.equal(world.gateway.acked.get('orders'), undefined, 'none is handled yet');
  work.end();
  await world.advance(REPORTED);
  assert.deepEqual(work.begun, [1, 2]);
  assert.equal(world.gateway.acked.get('orders'), 1);
  work.end();
  await world.advance(1);
  work.end();
  await world.advance(REPORTED);
  assert.equal(world.gateway.acked.get('orders'), 3);
});

for (const [how, fail] of [
  ['breaks its promise', () => Promise.reject(new Error('of the app'))],
  [
    'throws',
    () => {
      throw new Error('of the app');
    },
  ],
  [
    'gives a thenable that throws',
    () => ({
      then() {
        throw new Error('of the app');
      },
    }),
  ],
] as [string, () => unknown][]) {
  test(`a handler that ${how} is told, and has not handled it`, async () => {
    const { world, line, publish } = await lined();
    const errors: unknown[] = [];
    let fails = true;
    line.on('error', (error) => errors.push((error as Error).message));
    line.subscribe('orders', { from: 'acked', onPublication: () => (fails ? fail() : undefined) });
    await world.advance(100);
    await publish('orders', 1);
    await world.advance(REPORTED);
    assert.deepEqual(errors, ['of the app']);
    assert.equal(world.gateway.acked.get('orders'), undefined);
    fails = false;
    await publish('orders', 2);
    await world.advance(REPORTED);
    assert.equal(world.gateway.acked.get('orders'), 2, 'the next one is handled, and all before it');
  });
}

test('a promise is waited for so long, and no longer', async () => {
  const { world, line, publish } = await lined({ handler_timeout_ms: 5_000 });
  const work = new Work();
  const errors: TautlineError[] = [];
  line.on('error', (error) => errors.push(error as TautlineError));
  line.subscribe('room:7', { onPublication: work.handler });
  await world.advance(100);
  await publish('room:7', 1);
  await publish('room:7', 2);
  await world.advance(4_700);
  assert.deepEqual([work.begun, errors], [[1], []]);
  await world.advance(200);
  assert.deepEqual(work.begun, [1, 2]);
  assert.deepEqual(
    errors.map(({ code, message }) => [code, message]),
    [['timeout', 'onPublication took longer than `handler_timeout_ms`']],
  );
  work.end();
  work.end(new Error('late'));
  await world.advance(100);
  assert.equal((errors[1] as Error).message, 'late', 'the second one fails in time');
  assert.equal(errors.length, 2, 'what comes late is not heard');
});

test('what a busy handler has no room for is read again', async () => {
  const { world, line, publish } = await lined({ subscription_events_max: 2 });
  const work = new Work();
  const gaps: unknown[] = [];
  const quick: unknown[] = [];
  line.subscribe('orders', { from: 'acked', onPublication: work.handler, onGap: (gap) => gaps.push(gap) });
  line.subscribe('orders', { onPublication: ({ data }) => quick.push(data) });
  await world.advance(100);
  for (let n = 1; n <= 8; n++) await publish('orders', n);
  world.cut();
  await world.advance(1_000);
  for (let n = 1; n <= 8; n++) {
    work.end();
    await world.advance(100);
  }
  assert.deepEqual(work.begun, [1, 2, 3, 4, 5, 6, 7, 8]);
  assert.deepEqual(quick, [1, 2, 3, 4, 5, 6, 7, 8]);
  assert.deepEqual(gaps, []);
  await world.advance(REPORTED);
  assert.equal(world.gateway.acked.get('orders'), 8);
});

test('a gap waits for the work before it', async () => {
  const { world, line, publish } = await lined();
  const work = new Work();
  let gaps = 0;
  line.subscribe('room:7', { onPublication: work.handler, onGap: () => gaps++ });
  await world.advance(100);
  await publish('room:7', 1);
  world.gateway.tell({
    gap: { channel: 'room:7', reason: 'new_epoch', after: 1, cursor: { epoch: 'k2', offset: 5 } },
  });
  await world.advance(100);
  assert.equal(gaps, 0);
  work.end();
  await world.advance(1);
  assert.equal(gaps, 1);
});

test('a handler that ends itself has handled what it did', async () => {
  const { world, line, publish } = await lined();
  const work = new Work();
  const it = line.subscribe('orders', {
    from: 'acked',
    onPublication: async (publication) => {
      await work.handler(publication);
      it.unsubscribe();
      it.unsubscribe();
    },
  });
  await world.advance(100);
  await publish('orders', 1);
  await publish('orders', 2);
  work.end();
  await world.advance(100);
  assert.deepEqual(work.begun, [1], 'what waited is not handed over any more');
  assert.equal(world.gateway.acked.get('orders'), 1);
  assert.equal(world.gateway.all('unsubscribe').length, 1);
});

test('coming back while a handler works goes on', async () => {
  const { world, line, publish } = await lined();
  const work = new Work();
  const next: unknown[] = [];
  const it = line.subscribe('room:7', { onPublication: work.handler });
  await world.advance(100);
  await publish('room:7', 1);
  it.unsubscribe();
  line.subscribe('room:7', { onPublication: ({ data }) => next.push(data) });
  await publish('room:7', 2);
  work.end();
  await publish('room:7', 3);
  assert.deepEqual(next.slice(-1), [3]);
  assert.equal(world.gateway.all('unsubscribe').length, 0);
});

test('a closed line waits for no handler', async () => {
  const { world, line, publish } = await lined();
  const work = new Work();
  line.subscribe('room:7', { onPublication: work.handler });
  await world.advance(100);
  await publish('room:7', 1);
  await publish('room:7', 2);
  line.close();
  await world.advance(100);
  assert.equal(world.pendingTimers, 0);
  work.end();
  await world.advance(100);
  assert.deepEqual(work.begun, [1]);
});

test('work that an app was destroyed over comes again', async () => {
  const texts = new Map<string, string>();
  const device = {
    get: (key: string) => texts.get(key),
    set: (key: string, text: string) => void texts.set(key, text),
    remove: () => {},
  };
  const world = new World();
  const start = (onPublication: SubscriptionHandlers['onPublication']): void => {
    const line = new Tautline({ url: 'ws://a.example/connect', host: world, storage: storage({ device }) });
    line.subscribe('room:7', { onPublication: onPublication! });
  };
  const work = new Work();
  start(work.handler);
  await world.advance(100);
  for (const n of [1, 2]) world.gateway.publish('room:7', n, world.now());
  await world.advance(100);
  work.end();
  await world.advance(2_000);
  world.wire.dead = true;
  const again: unknown[] = [];
  start(({ data, redelivered }) => again.push([data, redelivered]));
  await world.advance(200);
  assert.deepEqual(again, [[2, true]]);
});

test('pages and components pass promises on', async () => {
  const { world, line, publish } = await lined();
  const shown = new Work();
  const forwarded = new Work();
  page(line).subscribe('room:7', { onPublication: shown.handler }, { while: 'shown' });
  line.subscribe(
    'room:7',
    forwarding(() => ({ onPublication: forwarded.handler })),
  );
  await world.advance(100);
  for (const n of [1, 2]) await publish('room:7', n);
  assert.deepEqual([shown.begun, forwarded.begun], [[1], [1]]);
  shown.end();
  forwarded.end();
  await world.advance(1);
  assert.deepEqual(
    [shown.begun, forwarded.begun],
    [
      [1, 2],
      [1, 2],
    ],
  );
});

test("what waits for one user is not another's", async () => {
  const { world, line } = await lined();
  world.gateway.forget();
  world.gateway.user = 'u42';
  world.cut();
  const work = new Work();
  line.inbox({ onPublication: work.handler });
  await world.advance(100);
  for (const n of ['a', 'b']) world.gateway.publish('user:u42', n, world.now());
  await world.advance(100);
  world.gateway.forget();
  world.gateway.user = 'u43';
  world.gateway.publish('user:u43', 'c', world.now());
  world.cut();
  await world.advance(10_000);
  work.end();
  await world.advance(100);
  assert.deepEqual(work.begun, ['a', 'c']);
  assert.equal(world.gateway.acked.get('user:u42'), undefined);
});
