/** Publications that their sender does not hear again. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Tautline, type SubscriptionHandlers } from '../src/index.js';
import { lined } from './fakes/lined.js';

/** Two lines in one channel, and what each hears. */
async function pair(more: SubscriptionHandlers = {}) {
  const { world, line } = await lined();
  const other = new Tautline({ url: 'ws://a.example/connect', host: world });
  const mine: unknown[] = [];
  const theirs: unknown[] = [];
  line.subscribe('room:7', { ...more, onPublication: ({ data }) => mine.push(data) });
  other.subscribe('room:7', { onPublication: ({ data }) => theirs.push(data) });
  await world.advance(100);
  /** The network kills the connection of the first line. */
  const cut = (): void => {
    const wire = world.wires[0]!;
    wire.dead = true;
    wire.closed(1006, '');
  };
  return { world, line, cut, mine, theirs };
}

test('publication without an echo reaches everybody else', async () => {
  const { world, line, mine, theirs } = await pair();
  for (const [data, echo] of [
    ['a', true],
    ['b', false],
    ['c', undefined],
  ] as const) {
    line.publish('room:7', data, echo === undefined ? {} : { echo }).catch(assert.fail);
    await world.advance(100);
  }
  assert.deepEqual(
    [mine, theirs],
    [
      ['a', 'c'],
      ['a', 'b', 'c'],
    ],
  );
  assert.deepEqual(
    world.gateway.all('publish').map((body) => (body as { echo?: boolean }).echo),
    [undefined, false, undefined],
  );
});

test('own publication is passed over behind a cut, too', async () => {
  const { world, line, cut, mine, theirs } = await pair();
  line.publish('room:7', 'mine', { echo: false }).catch(assert.fail);
  // It is appended, and nothing comes back.
  await world.advance(15);
  cut();
  await world.advance(5_000);
  world.gateway.publish('room:7', 'after', world.now());
  await world.advance(100);
  assert.deepEqual(mine, ['after']);
  assert.deepEqual(theirs, ['mine', 'after']);
  assert.deepEqual(
    world.gateway.all('subscribe').length,
    2,
    'the cursor has moved: nothing is asked for again',
  );
});

test('own publication counts as handled', async () => {
  const { world, line } = await pair({ from: 'acked' });
  line.publish('room:7', 'mine', { echo: false }).catch(assert.fail);
  await world.advance(10_000);
  assert.equal(world.gateway.acked.get('room:7'), 1);
});

test('back end names the session that hears nothing', async () => {
  const { world, mine, theirs } = await pair();
  world.gateway.publish('room:7', 'a', world.now(), { $exclude: 's2' });
  world.gateway.publish('room:7', 'b', world.now(), { $exclude: 's9', lang: 'en' });
  await world.advance(100);
  assert.deepEqual([mine, theirs], [['a', 'b'], ['b']]);
});

test('next session of a sender hears what the last one sent', async () => {
  const { world, line, cut, mine } = await pair();
  line.publish('room:7', 'mine', { echo: false }).catch(() => undefined);
  await world.advance(15);
  cut();
  world.gateway.forget();
  await world.advance(5_000);
  assert.deepEqual(mine, ['mine']);
});
