/** A state that is loaded beside its channel, and changes meanwhile: nothing is lost, and nothing comes twice. */

import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { subscribeWithState, type LoadedState } from '../src/with-state.js';
import type { Cursor } from '../src/types.js';
import { lined } from './fakes/lined.js';

/** A shop: orders in a table, and each change of it in a channel, with the place where it stands kept beside the table. */
async function shop() {
  const { world, line } = await lined();
  const table: number[] = [];
  let cursor: Cursor | undefined;
  const change = (order: number): void => {
    table.push(order);
    const { offset } = world.gateway.publish('orders', order, world.now());
    cursor = { epoch: world.gateway.epoch, offset };
  };
  /** What the back end answers: the table as it stands now. */
  const load = (): LoadedState<number[]> => ({ state: table.slice(), cursor });
  /** What the app shows. */
  let shown: number[] = [];
  const heard: number[] = [];
  const handlers = {
    onState: (state: number[]) => void (shown = state),
    onPublication: ({ data }: { data: number }) => {
      heard.push(data);
      shown = shown.concat(data);
    },
  };
  const settle = async (): Promise<void> => {
    for (let round = 0; round < 5; round++) await world.advance(100);
  };
  return { world, line, table, change, load, handlers, settle, heard, shown: () => shown };
}

/** A promise, and what keeps it. */
function later<T>(): { promise: Promise<T>; keep: (value: T) => void } {
  let keep: (value: T) => void = () => undefined;
  const promise = new Promise<T>((resolve) => (keep = resolve));
  return { promise, keep };
}

test('changes while the state is loaded come once', async () => {
  const { world, line, table, change, load, handlers, settle, heard, shown } = await shop();
  [1, 2].forEach(change);
  const answer = later<LoadedState<number[]>>();
  const positions: Cursor[] = [];
  subscribeWithState(line, 'orders', {
    ...handlers,
    getState: (position) => {
      positions.push(position);
      return answer.promise;
    },
  });
  await settle();
  // Published before the table is read, and between that and the answer.
  [3, 4].forEach(change);
  const read = load();
  [5, 6].forEach(change);
  await settle();
  answer.keep(read);
  await settle();
  change(7);
  await settle();
  assert.deepEqual(
    positions.map(({ offset }) => offset),
    [2],
  );
  assert.deepEqual(shown(), table);
  assert.deepEqual(heard, [5, 6, 7]);
  assert.equal(world.gateway.all('unsubscribe').length, 0);
});

test('state without a cursor loses nothing', async () => {
  const { line, table, change, load, handlers, settle, shown } = await shop();
  change(1);
  const answer = later<LoadedState<number[]>>();
  subscribeWithState(line, 'orders', { ...handlers, getState: () => answer.promise });
  await settle();
  change(2);
  answer.keep({ state: load().state });
  change(3);
  await settle();
  // What was published while it was loaded may be in it, too.
  assert.deepEqual([...new Set(shown())], table);
});

test('state of a lagging replica is caught up', async () => {
  const { line, table, change, load, handlers, settle, heard, shown } = await shop();
  [1, 2].forEach(change);
  const stale = load();
  [3, 4].forEach(change);
  subscribeWithState(line, 'orders', { ...handlers, getState: () => stale });
  await settle();
  assert.deepEqual(shown(), table);
  assert.deepEqual(heard, [3, 4]);
});

test('state is loaded again behind a gap', async () => {
  const { world, line, table, change, load, handlers, settle, shown } = await shop();
  change(1);
  subscribeWithState(line, 'orders', { ...handlers, getState: load });
  await settle();
  world.gateway.tell({
    gap: { channel: 'orders', reason: 'retention', after: 1, cursor: { epoch: 'k1', offset: 4 } },
  });
  table.push(2, 3, 4);
  await settle();
  assert.deepEqual(shown(), [1, 2, 3, 4]);
});

test('cut in the middle of a load changes nothing', async () => {
  const { world, line, table, change, load, handlers, settle, shown } = await shop();
  change(1);
  const answer = later<LoadedState<number[]>>();
  subscribeWithState(line, 'orders', { ...handlers, getState: () => answer.promise });
  await settle();
  world.cut();
  change(2);
  answer.keep(load());
  change(3);
  await world.advance(5_000);
  change(4);
  await settle();
  assert.deepEqual(shown(), table);
});

test('state of another log begins at the position', async () => {
  const { line, table, change, load, handlers, settle, shown } = await shop();
  change(1);
  const old = { ...load(), cursor: { epoch: 'before', offset: 9 } };
  subscribeWithState(line, 'orders', { ...handlers, getState: () => old });
  await settle();
  change(2);
  await settle();
  assert.deepEqual(shown(), table);
});

test('load that fails is repeated after a while', async () => {
  const { line, table, change, load, handlers, settle, shown } = await shop();
  change(1);
  const errors: unknown[] = [];
  let loads = 0;
  mock.timers.enable({ apis: ['setTimeout'] });
  try {
    subscribeWithState(line, 'orders', {
      ...handlers,
      getState: () => {
        if (++loads < 4) throw new Error('no answer');
        return load();
      },
      onStateError: (error) => errors.push((error as Error).message),
    });
    await settle();
    assert.equal(loads, 2, 'again at once, and then it waits');
    change(2);
    mock.timers.tick(1_000);
    await settle();
    mock.timers.tick(2_000);
    await settle();
  } finally {
    mock.timers.reset();
  }
  assert.deepEqual(errors, ['no answer', 'no answer', 'no answer']);
  assert.deepEqual(shown(), table);
});

test('unsubscribing while the state is loaded tells nothing more', async () => {
  const { world, line, change, load, handlers, settle, shown, heard } = await shop();
  change(1);
  const answer = later<LoadedState<number[]>>();
  const its = subscribeWithState(line, 'orders', { ...handlers, getState: () => answer.promise });
  await settle();
  its.unsubscribe();
  answer.keep(load());
  await settle();
  change(2);
  await settle();
  assert.deepEqual([shown(), heard], [[], []]);
  assert.equal(world.gateway.all('unsubscribe').length, 1);
});

test('subscription that the gateway ends loads nothing more', async () => {
  const { world, line, change, load, handlers, settle, heard } = await shop();
  change(1);
  let loads = 0;
  const ends: string[] = [];
  subscribeWithState(line, 'orders', {
    ...handlers,
    getState: () => {
      loads++;
      return load();
    },
    onUnsubscribed: ({ code }) => ends.push(code),
  });
  await settle();
  world.gateway.tell({ unsubscribed: { channel: 'orders', code: 'permission_denied', message: '' } });
  await settle();
  world.cut();
  await world.advance(5_000);
  change(2);
  await settle();
  assert.deepEqual([ends, loads, heard], [['permission_denied'], 1, []]);
  assert.equal(world.gateway.all('subscribe').length, 2, 'one for the position, one for the state');
});

test('getState that gives nothing is asked again', async () => {
  for (const nothing of [undefined, null, Promise.resolve(undefined)]) {
    const { line, change, load, handlers, settle, shown, table } = await shop();
    change(1);
    const answers: unknown[] = [nothing, load()];
    let errors = 0;
    subscribeWithState(line, 'orders', {
      ...handlers,
      getState: () => answers.shift() as LoadedState<number[]>,
      onStateError: () => errors++,
    });
    await settle();
    change(2);
    await settle();
    assert.deepEqual([errors, answers.length], [1, 0]);
    assert.deepEqual(shown(), table);
  }
});

test('publication while the state is loaded is not acked', async () => {
  const { world, line } = await lined();
  const own = 'user:u42';
  world.gateway.forget();
  world.gateway.user = 'u42';
  world.cut();
  await world.advance(5_000);
  const answer = later<LoadedState<string>>();
  const heard: unknown[] = [];
  subscribeWithState(line, own, {
    getState: () => answer.promise,
    onState: () => undefined,
    onPublication: ({ data }) => heard.push(data),
  });
  await world.advance(100);
  world.gateway.publish(own, 'a', world.now());
  await world.advance(10_000);
  assert.equal(world.gateway.acked.get(own), undefined, 'nobody has it yet');
  answer.keep({ state: '' });
  await world.advance(10_000);
  assert.deepEqual(heard, ['a']);
  assert.equal(world.gateway.acked.get(own), 1);
});
