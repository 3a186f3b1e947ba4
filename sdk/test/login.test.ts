/** Another user logs in on a running line: nothing of the last one reaches the next one. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Tautline, type TautlineError, type TautlineOptions } from '../src/index.js';
import { storage } from '../src/storage.js';
import { World } from './fakes/world.js';

/** A line of the user `u1` that is online. */
async function online(options: Partial<TautlineOptions> = {}) {
  const world = new World();
  world.gateway.user = 'u1';
  const line = new Tautline({
    url: 'ws://a.example/connect',
    host: world,
    auth: { token: 'one' },
    ...options,
  });
  line.connect();
  await world.advance(100);
  const push = async (channel: string, data: unknown): Promise<void> => {
    world.gateway.publish(channel, data, world.now());
    await world.advance(100);
  };
  /** The second user logs in. */
  const change = async (): Promise<void> => {
    world.gateway.user = 'u2';
    line.login({ token: 'two' });
    await world.advance(100);
  };
  return { world, line, push, change };
}

test('login settles requests and subscriptions, and opens a session of its own', async () => {
  const { world, line, change } = await online();
  const ends: string[] = [];
  line.subscribe('room:7', { onUnsubscribed: ({ code }) => ends.push(code) });
  await world.advance(100);
  world.gateway.deaf.add('call');
  const call = line.call('echo', 1);
  const refused = assert.rejects(call, ({ code }: TautlineError) => code === 'user_changed');
  await world.advance(5);
  await change();
  await refused;
  assert.deepEqual(ends, ['user_changed']);
  assert.equal(line.state, 'online');
  const hellos = world.gateway.all('hello') as { auth: unknown; resume?: unknown }[];
  assert.deepEqual([hellos[1]!.auth, hellos[1]!.resume], [{ token: 'two' }, undefined]);
});

test('handlers of the last user hear nothing more', async () => {
  const { world, line, push, change } = await online();
  const seen: unknown[] = [];
  line.subscribe('room:7', { onPublication: ({ data }) => seen.push(data) });
  await world.advance(100);
  await push('room:7', 'mine');
  // Under way while the other user logs in.
  world.gateway.publish('room:7', 'late', world.now());
  await change();
  await push('room:7', 'theirs');
  assert.deepEqual(seen, ['mine']);
});

test('publication that waits for an asynchronous handler is dropped', async () => {
  const { world, line, push, change } = await online();
  const seen: unknown[] = [];
  let release: () => void = () => undefined;
  line.subscribe('room:7', {
    from: 'acked',
    onPublication: ({ data }) => {
      seen.push(data);
      return new Promise<void>((resolve) => (release = resolve));
    },
  });
  await world.advance(100);
  await push('room:7', 1);
  await push('room:7', 2);
  await change();
  const next: unknown[] = [];
  line.subscribe('room:7', { from: 'start', onPublication: ({ data }) => next.push(data) });
  await world.advance(100);
  release();
  await world.advance(10_000);
  assert.deepEqual([seen, next], [[1], [1, 2]]);
});

test('inbox goes over to the next user', async () => {
  const { line, push, change } = await online();
  const seen: unknown[] = [];
  line.inbox({ onPublication: ({ channel, data }) => seen.push([channel, data]) });
  await push('user:u1', 'mine');
  await change();
  await push('user:u2', 'theirs');
  await push('user:u1', 'not mine any more');
  assert.deepEqual(seen, [
    ['user:u1', 'mine'],
    ['user:u2', 'theirs'],
  ]);
});

test('login that was fetched for the last user is ignored', async () => {
  const world = new World();
  let answer: (auth: { token: string }) => void = () => undefined;
  const line = new Tautline({
    url: 'ws://a.example/connect',
    host: world,
    auth: () => new Promise((resolve) => (answer = resolve)),
  });
  line.connect();
  await world.advance(10);
  const late = answer;
  line.login(() => new Promise((resolve) => (answer = resolve)));
  late({ token: 'one' });
  await world.advance(100);
  assert.deepEqual(world.gateway.all('hello'), []);
  answer({ token: 'two' });
  await world.advance(100);
  assert.deepEqual((world.gateway.all('hello')[0] as { auth: unknown }).auth, { token: 'two' });
});

test('subscription made while the last one ends belongs to the next user', async () => {
  const { world, line, push, change } = await online();
  const seen: unknown[] = [];
  line.subscribe('room:7', {
    onUnsubscribed: () => line.subscribe('room:7', { onPublication: ({ data }) => seen.push(data) }),
  });
  await world.advance(100);
  await change();
  await world.advance(100);
  await push('room:7', 'theirs');
  assert.deepEqual(seen, ['theirs']);
});

test('stored state of the last user is gone from the device', async () => {
  const texts = new Map<string, string>();
  const device = {
    get: (key: string) => texts.get(key),
    set: (key: string, text: string) => void texts.set(key, text),
    remove: (key: string) => void texts.delete(key),
  };
  const { world, line, push, change } = await online({ storage: storage({ device }) });
  line.subscribe('secret:1', { onPublication: () => undefined });
  await world.advance(100);
  await push('secret:1', 1);
  await world.advance(2_000);
  assert.match(texts.get('tautline:line')!, /secret:1/);
  await change();
  assert.doesNotMatch(texts.get('tautline:line')!, /secret:1|user:u1/);
});

test('token that expires is refreshed on the open connection', async () => {
  const renews: boolean[] = [];
  const { world, line } = await online({
    auth: ({ renew }) => {
      renews.push(renew);
      return { token: renew ? 'two' : 'one' };
    },
  });
  world.gateway.authLifeMs = 60_000;
  world.cut();
  await world.advance(40_000);
  assert.deepEqual(renews, [false, true]);
  assert.deepEqual(world.gateway.all('auth'), [{ token: 'two' }]);
  assert.equal(world.wires.length, 2, 'it was sent on the connection that there was');
  assert.equal(line.state, 'online');
});
