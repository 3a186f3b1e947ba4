/** The line as an app sees it, against a gateway in memory and on a clock moved by hand. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Tautline, TautlineError } from '../src/index.js';
import type { SubscriptionHandlers, TautlineOptions } from '../src/index.js';
import { World } from './fakes/world.js';

/** A line in its world, and what it told. */
function lined(options: Partial<TautlineOptions> = {}) {
  const world = new World();
  const line = new Tautline({ url: 'ws://a.example/connect', host: world, ...options });
  const states: string[] = [];
  const drops: string[] = [];
  line.on('state', ({ state }) => states.push(state));
  line.on('drop', ({ cause }) => drops.push(cause));
  return { world, line, states, drops };
}

/** A line that is online. */
async function online(options: Partial<TautlineOptions> = {}) {
  const all = lined(options);
  all.line.connect();
  await all.world.advance(100);
  assert.equal(all.line.state, 'online');
  return all;
}

/** What a promise was rejected with. */
async function rejection(promise: Promise<unknown>): Promise<TautlineError> {
  return promise.then(
    () => assert.fail('it was not rejected'),
    (error: TautlineError) => error,
  );
}

test('nothing happens before the app asks for something', async () => {
  const { world, line } = lined();
  await world.advance(60_000);
  assert.equal(world.wires.length, 0);
  assert.equal(line.state, 'idle');
});

test('a call connects by itself, says hello as a guest, and is answered', async () => {
  const { world, line, states } = lined();
  const answer = line.call('echo', { hello: 1 });
  await world.advance(100);
  assert.deepEqual(await answer, { hello: 1 });
  assert.deepEqual(states, ['connecting', 'online']);
  const hello = world.gateway.all('hello')[0] as { auth: unknown; key: string; client: unknown };
  assert.deepEqual(hello.auth, { guest: true });
  assert.ok(hello.key.length >= 24, 'the key is hard to guess');
  assert.deepEqual(hello.client, { sdk: 'tautline-js/0.1.0', platform: 'test' });
  assert.equal(world.wire.protocol, 'tautline.v1.json');
});

test('the login may be a value, a function or a promise, and the app is told when the last one was refused', async () => {
  for (const auth of [{ token: 'a' }, () => ({ token: 'a' }), () => Promise.resolve({ token: 'a' })]) {
    const { world } = await online({ auth });
    assert.deepEqual((world.gateway.all('hello')[0] as { auth: unknown }).auth, { token: 'a' });
  }
  const renews: boolean[] = [];
  const { world, line } = lined({
    auth: ({ renew }) => {
      renews.push(renew);
      return { token: 'a' };
    },
  });
  world.gateway.refusal = { code: 'token_expired', message: '', reconnect: 'now' };
  line.connect();
  await world.advance(200);
  assert.deepEqual(renews.slice(0, 2), [false, true]);
});

test('an app without a login just now is asked again later', async () => {
  let asked = 0;
  const { world, line, drops } = lined({
    auth: () => {
      if (asked++ === 0) throw new Error('not yet');
      return { token: 'a' };
    },
  });
  line.connect();
  await world.advance(100);
  assert.deepEqual(drops, ['auth_failed']);
  assert.equal(line.state, 'online');
});

test('an app that has no login where it promised one is not asked again in a tight loop', async () => {
  let asked = 0;
  const { world, line, drops } = lined({
    auth: () => {
      asked++;
      return undefined as never;
    },
  });
  line.connect();
  await world.advance(2_000);
  assert.equal(drops[0], 'auth_failed');
  assert.ok(asked < 10, `asked ${asked} times in two seconds`);
});

test('publications come once and in order, across a cut, with what was missed in between', async () => {
  const { world, line, drops } = await online();
  const seen: unknown[] = [];
  const recovering: number[] = [];
  line.subscribe('room:7', {
    onPublication: ({ data }) => seen.push(data),
    onSubscribed: (where) => recovering.push(where.recovering),
  });
  await world.advance(100);
  world.gateway.publish('room:7', 1, world.now());
  await world.advance(100);
  world.cut();
  world.gateway.publish('room:7', 2, world.now());
  await world.advance(100);
  world.gateway.publish('room:7', 3, world.now());
  await world.advance(100);
  assert.deepEqual(seen, [1, 2, 3]);
  assert.deepEqual(recovering, [0, 1]);
  assert.deepEqual(drops, ['unknown']);
});

test('a request that was cut off is executed once and answered once', async () => {
  const { world, line } = await online();
  const answer = line.call('echo', 'once');
  await world.advance(15);
  assert.equal(world.gateway.executed.length, 1, 'it has arrived, and its answer is on the way');
  world.cut();
  await world.advance(1_000);
  assert.equal(await answer, 'once');
  assert.deepEqual(world.gateway.executed, ['once']);
});

test('publish, history and presence give what the gateway says', async () => {
  const { world, line } = await online();
  const published = line.publish('room:7', { n: 1 });
  const history = line.history('room:7', { limit: 10 });
  const presence = line.presence('room:7');
  await world.advance(100);
  assert.equal((await published).offset, 1);
  assert.deepEqual(
    (await history).publications.map(({ data }) => data),
    [{ n: 1 }],
  );
  assert.equal((await presence).count, 0);
  assert.deepEqual(world.gateway.all('history'), [{ channel: 'room:7', limit: 10 }]);
});

test('a refusal of the gateway rejects with its code and words', async () => {
  const { world, line } = await online();
  const failed = rejection(line.call('nonsense'));
  await world.advance(100);
  const error = await failed;
  assert.ok(error instanceof TautlineError && error instanceof Error);
  assert.deepEqual(
    [error.name, error.code, error.message],
    ['TautlineError', 'not_found', 'no method nonsense'],
  );
});

test('a request times out after the time that it was given', async () => {
  const { world, line } = await online();
  world.gateway.deaf.add('call');
  const failed = rejection(line.call('echo', 1, { timeout: 5_000 }));
  await world.advance(5_001);
  assert.equal((await failed).code, 'timeout');
  assert.deepEqual(world.gateway.all('call'), [{ method: 'echo', data: 1, timeout_ms: 5_000 }]);
});

test('what cannot be written as JSON rejects its own promise and nothing else', async () => {
  const { world, line } = await online();
  const circle: { self?: unknown } = {};
  circle.self = circle;
  const failed = line.publish('room:7', circle).catch((error: TautlineError) => error.code);
  const fine = line.call('echo', 2);
  await world.advance(100);
  assert.equal(await failed, 'bad_data');
  assert.equal(await fine, 2);
});

test('a fault in a handler is told, and neither the line nor other handlers suffer', async () => {
  const { world, line } = await online();
  const seen: unknown[] = [];
  const errors: unknown[] = [];
  line.on('error', (error) => errors.push((error as Error).message));
  line.subscribe('room:7', {
    onPublication() {
      throw new Error('of the app');
    },
  });
  line.subscribe('room:7', { onPublication: ({ data }) => seen.push(data) });
  await world.advance(100);
  world.gateway.publish('room:7', 1, world.now());
  world.gateway.publish('room:7', 2, world.now());
  await world.advance(100);
  assert.deepEqual(seen, [1, 2]);
  assert.deepEqual(errors, ['of the app', 'of the app']);
});

test('a fault in a handler that nobody listens for is thrown outside of the line', async () => {
  const { world, line } = await online();
  line.on('welcome', () => {
    throw new Error('of the app');
  });
  world.cut();
  await assert.rejects(world.advance(100), /of the app/);
  await world.advance(100);
  assert.equal(line.state, 'online');
});

test('handlers may use the line: what they ask for is done after what is under way', async () => {
  const { world, line } = await online();
  const answers: unknown[] = [];
  line.subscribe('room:7', {
    onPublication: ({ data }) => void line.call('echo', data).then((answer) => answers.push(answer)),
  });
  await world.advance(100);
  world.gateway.publish('room:7', 'a', world.now());
  world.gateway.publish('room:7', 'b', world.now());
  await world.advance(100);
  assert.deepEqual(answers, ['a', 'b']);
});

test('handlers of one channel share one subscription, and the last to leave ends it', async () => {
  const { world, line } = await online();
  const seen: string[] = [];
  const handlers = (name: string): SubscriptionHandlers => ({ onPublication: () => seen.push(name) });
  const first = line.subscribe('room:7', handlers('first'));
  const second = line.subscribe('room:7', handlers('second'));
  await world.advance(100);
  world.gateway.publish('room:7', 1, world.now());
  await world.advance(100);
  first.unsubscribe();
  world.gateway.publish('room:7', 2, world.now());
  await world.advance(100);
  second.unsubscribe();
  second.unsubscribe();
  world.gateway.publish('room:7', 3, world.now());
  await world.advance(100);
  assert.deepEqual(seen, ['first', 'second', 'second']);
  assert.equal(world.gateway.all('subscribe').length, 1);
  assert.equal(world.gateway.all('unsubscribe').length, 1);
});

test('gaps, presence and the end of a subscription reach its handlers', async () => {
  const { world, line } = await online();
  const seen: unknown[] = [];
  line.subscribe('room:7', {
    onGap: ({ reason, after }) => seen.push([reason, after]),
    onPresence: ({ kind, user }) => seen.push([kind, user]),
    onUnsubscribed: ({ code }) => seen.push(code),
  });
  await world.advance(100);
  const cursor = { epoch: 'k2', offset: 5, at: 1 };
  world.gateway.tell({ gap: { channel: 'room:7', reason: 'new_epoch', after: 0, cursor } });
  world.gateway.tell({ join: { channel: 'room:7', user: 'u7', session: 's7' } });
  world.gateway.tell({
    unsubscribed: { channel: 'room:7', code: 'permission_denied', message: 'not any more' },
  });
  await world.advance(100);
  assert.deepEqual(seen, [['new_epoch', 0], ['join', 'u7'], 'permission_denied']);
});

test('a drop carries the raw words of the host, and the next welcome how long it took', async () => {
  const { world, line } = await online();
  const drops: unknown[] = [];
  const offline: number[] = [];
  line.on('drop', ({ cause, online, code, reason, message }) =>
    drops.push({ cause, online, code, reason, message }),
  );
  line.on('welcome', ({ offline_ms }) => offline.push(offline_ms));
  world.gateway.bye(
    { code: 'server_restart', message: 'back soon', reconnect: 'later', retry_after_ms: 500 },
    4001,
  );
  await world.advance(2_000);
  assert.deepEqual(drops, [
    { cause: 'server_restart', online: true, code: 4001, reason: 'server_restart', message: 'back soon' },
  ]);
  assert.deepEqual(offline, [530]);
  const hello = world.gateway.all('hello')[1] as { last_drop: { cause: string } };
  assert.equal(hello.last_drop.cause, 'server_restart');
});

test('a listener that was taken off hears nothing', async () => {
  const { world, line } = lined();
  const states: string[] = [];
  const off = line.on('state', ({ state }) => states.push(state));
  off();
  line.connect();
  await world.advance(100);
  assert.deepEqual(states, []);
});

test('a listener that takes itself off while it is called skips no other one', async () => {
  const { world, line } = lined();
  const heard: string[] = [];
  const off = line.on('state', () => {
    off();
    heard.push('first');
  });
  line.on('state', ({ state }) => heard.push(state));
  line.connect();
  await world.advance(100);
  assert.deepEqual(heard, ['first', 'connecting', 'online']);
});

test('after close every promise is settled, nothing is watched and no timer is left', async () => {
  const { world, line, states } = await online();
  world.gateway.deaf.add('call');
  const failed = rejection(line.call('echo', 1));
  await world.advance(100);
  line.close();
  const late = rejection(line.call('echo', 2));
  await world.advance(100);
  assert.equal((await failed).code, 'closed');
  assert.equal((await late).code, 'closed');
  assert.deepEqual(world.gateway.all('bye'), [{}]);
  assert.equal(states.at(-1), 'closed');
  assert.equal(world.watcher, undefined);
  assert.equal(world.pendingTimers, 0);
});

test('a wall clock that is set back an hour stops neither heartbeat nor time-outs', async () => {
  const { world, line } = await online();
  world.jump(-3_600_000);
  line.notifyShow();
  await world.advance(30_000);
  assert.ok(world.gateway.all('ping').length >= 1);
  assert.equal(line.state, 'online');
});

test('a request times out although the wall clock was set back meanwhile', async () => {
  const { world, line } = await online();
  world.gateway.deaf.add('call');
  const failed = rejection(line.call('echo', 1, { timeout: 5000 }));
  await world.advance(100);
  world.jump(-3_600_000);
  line.notifyShow();
  await world.advance(10_000);
  assert.equal((await failed).code, 'timeout');
});

test('an app in the background hangs up where its host would cut it, and comes back on show', async () => {
  const { world, line, drops } = await online({ background: true });
  line.notifyHide();
  await world.advance(4_100);
  assert.equal(line.state, 'hidden');
  assert.equal(world.pendingTimers, 0);
  assert.deepEqual(world.gateway.all('pause'), [{ reason: 'background' }]);
  line.notifyShow();
  await world.advance(100);
  assert.equal(line.state, 'online');
  assert.deepEqual(drops, ['background']);
});

test('what the host tells about app and network reaches the session', async () => {
  const { world, states } = await online({ background: true });
  world.watcher?.({ type: 'hide' });
  await world.advance(5_000);
  world.unreachable = true;
  world.watcher?.({ type: 'network', online: false });
  world.watcher?.({ type: 'show' });
  await world.advance(100);
  assert.deepEqual(states.slice(-3), ['hidden', 'connecting', 'offline']);
});

test('a silent death of the connection is found out by the heartbeat', async () => {
  const { world, line, drops } = await online();
  world.wire.dead = true;
  await world.advance(25_000 + 8_000 + 1_000);
  assert.deepEqual(drops, ['peer_silent']);
  assert.equal(line.state, 'online');
});

test('a user of the line may see all that goes in and out', async () => {
  const seen: string[] = [];
  await online({ trace: ({ type }) => seen.push(type) });
  assert.deepEqual(seen.slice(0, 5), ['connect', 'state', 'fetch_auth', 'auth', 'dial']);
});
