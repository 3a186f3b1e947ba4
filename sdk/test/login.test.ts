/** Another user logs in on a running line: nothing of the last one reaches the next one. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Tautline, type TautlineError, type TautlineOptions } from '../src/index.js';
import { page } from '../src/page.js';
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

test('older answer to a question that was asked again is ignored', async () => {
  const world = new World();
  const answers: ((auth: { token: string }) => void)[] = [];
  const line = new Tautline({
    url: 'ws://a.example/connect',
    host: world,
    auth: () => new Promise((resolve) => answers.push(resolve)),
    auth_timeout_ms: 1_000,
  });
  line.connect();
  await world.advance(1_100);
  assert.equal(answers.length, 2, 'the first question has timed out, and was asked again');
  answers[0]!({ token: 'stale' });
  await world.advance(100);
  assert.deepEqual(world.gateway.all('hello'), []);
  answers[1]!({ token: 'fresh' });
  await world.advance(100);
  assert.deepEqual((world.gateway.all('hello')[0] as { auth: unknown }).auth, { token: 'fresh' });
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

/** What the host gives as one message: publications in `channel`, numbered from `first`. */
function together(channel: string, first: number, all: unknown[]): string {
  return all
    .map((data, i) => JSON.stringify({ pub: { channel, offset: first + i, at: 0, data } }) + '\n')
    .join('');
}

test('subscription made right after login in a handler stays', async () => {
  const { world, line, push } = await online();
  const seen: unknown[] = [];
  const ends: string[] = [];
  line.subscribe('room:1', {
    onPublication() {
      world.gateway.user = 'u2';
      line.login({ token: 'two' });
      assert.deepEqual(ends, ['room:7'], 'what there was has ended when `login` returns');
      line.subscribe('room:7', {
        onPublication: ({ data }) => seen.push(data),
        onUnsubscribed: ({ code }) => seen.push(code),
      });
    },
    onUnsubscribed: () => ends.push('room:1'),
  });
  line.subscribe('room:7', { onUnsubscribed: () => ends.push('room:7') });
  await world.advance(100);
  await push('room:1', 'go');
  await world.advance(100);
  await push('room:7', 'theirs');
  assert.deepEqual([seen, ends], [['theirs'], ['room:7', 'room:1']]);
});

test('inbox hears nothing queued before login in a handler', async () => {
  const { world, line, push } = await online();
  const seen: unknown[] = [];
  line.inbox({
    onPublication({ channel, data }) {
      seen.push([channel, data]);
      world.gateway.user = 'u2';
      if (data === 'go') line.login({ token: 'two' });
    },
  });
  line.inbox({ onPublication: ({ channel, data }) => seen.push(['other', channel, data]) });
  await world.advance(100);
  world.wire.received(together('user:u1', 1, ['go', 'mine']));
  await world.advance(200);
  await push('user:u2', 'theirs');
  assert.deepEqual(seen, [
    ['user:u1', 'go'],
    ['user:u2', 'theirs'],
    ['other', 'user:u2', 'theirs'],
  ]);
});

test('publication whose handler logs in is acked before that', async () => {
  const { world, line, push } = await online();
  line.inbox({
    onPublication() {
      world.gateway.user = 'u2';
      line.login({ token: 'two' });
    },
  });
  await push('user:u1', 'go');
  assert.equal(world.gateway.acked.get('user:u1'), 1);
});

test('welcome of the last user after login is not told', async () => {
  const { world, line } = await online();
  const users: unknown[] = [];
  line.on('welcome', ({ user }) => users.push(user));
  world.cut();
  while (world.wires.length < 2) await world.advance(10);
  const { wire } = world;
  // While a page unloads, what comes waits.
  wire.received = (text) =>
    line.later_(() => {
      Object.getPrototypeOf(wire).received.call(wire, text);
      world.gateway.user = 'u2';
      line.login({ token: 'two' });
    });
  await world.advance(5_000);
  assert.deepEqual(users, ['u2']);
});

test('late handler of the last user acks nothing', async () => {
  for (const leaves of [true, false]) {
    const { world, line, push, change } = await online();
    let release: () => void = () => undefined;
    const { unsubscribe } = line.subscribe('room:7', {
      from: 'acked',
      onPublication() {
        world.gateway.user = 'u2';
        if (!leaves) line.login({ token: 'two' });
        return new Promise<void>((resolve) => (release = resolve));
      },
    });
    await world.advance(100);
    await push('room:7', 1);
    if (leaves) {
      unsubscribe();
      await change();
    }
    const seen: unknown[] = [];
    line.subscribe('room:7', {
      from: 'acked',
      onPublication({ data }) {
        seen.push(data);
        return new Promise(() => undefined);
      },
    });
    await world.advance(100);
    release();
    await world.advance(27_000);
    assert.deepEqual([seen, world.gateway.acked.get('room:7')], [[1], undefined]);
  }
});

test('inbox is confirmed for the next user', async () => {
  const { line, world, change } = await online();
  const seen: unknown[] = [];
  line.inbox({ onSubscribed: ({ channel }) => seen.push(channel) });
  await world.advance(100);
  // The inbox came later than the first welcome: its own channel has been confirmed since.
  world.cut();
  await world.advance(5_000);
  const before = seen.length;
  await change();
  assert.deepEqual(seen.slice(before), ['user:u2']);
});

test('inbox of a first connection is confirmed for the next user', async () => {
  const world = new World();
  world.gateway.user = 'u1';
  const line = new Tautline({ url: 'ws://a.example/connect', host: world, auth: { token: 'one' } });
  const seen: unknown[] = [];
  line.inbox({ onSubscribed: ({ channel }) => seen.push(channel) });
  await world.advance(100);
  world.gateway.user = 'u2';
  line.login({ token: 'two' });
  await world.advance(100);
  assert.deepEqual(seen, ['user:u1', 'user:u2']);
});

test('page shown to the next user begins anew', async () => {
  const { world, line, push, change } = await online();
  const seen: unknown[] = [];
  const its = page(line);
  its.subscribe(
    'room:7',
    { from: 'start', onPublication: ({ data }) => seen.push(data) },
    { while: 'shown' },
  );
  await push('room:7', 1);
  its.hide();
  await change();
  its.show();
  await world.advance(100);
  its.hide();
  its.show();
  await world.advance(100);
  assert.deepEqual(seen, [1, 1]);
});

test('what waits for an inbox without a channel is dropped', async () => {
  for (const act of ['login', 'close'] as const) {
    const { world, line, push } = await online();
    const seen: unknown[] = [];
    let release: () => void = () => undefined;
    line.inbox({
      onPublication({ data }) {
        seen.push(data);
        return new Promise<void>((resolve) => (release = resolve));
      },
    });
    await push('user:u1', 1);
    await push('user:u1', 2);
    // A guest has no channel of its own.
    world.gateway.user = undefined;
    world.cut();
    await world.advance(5_000);
    line[act]({ token: 'two' });
    release();
    await world.advance(100);
    assert.deepEqual(seen, [1], act);
  }
});

test('line closed right after login asks for no login', async () => {
  const { world, line, push } = await online();
  let asked = 0;
  line.subscribe('room:7', {
    onPublication() {
      line.login(() => ({ token: `${++asked}` }));
      line.close();
    },
  });
  await world.advance(100);
  await push('room:7', 1);
  assert.deepEqual([asked, line.state], [0, 'closed']);
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

test('page that was hidden begins anew for the next user', async () => {
  for (const from of [undefined, 'start'] as const) {
    const { world, line, push, change } = await online();
    const seen: unknown[] = [];
    const here = page(line);
    here.subscribe(
      'room:7',
      { ...(from && { from }), onPublication: ({ data }) => seen.push(data) },
      { while: 'shown' },
    );
    await world.advance(100);
    await push('room:7', 'theirs');
    for (const act of ['hide', 'show', 'hide'] as const) {
      here[act]();
      await world.advance(100);
    }
    await push('room:7', 'missed');
    await change();
    here.show();
    await world.advance(100);
    await push('room:7', 'new');
    const again = from ? ['theirs', 'missed'] : [];
    assert.deepEqual(seen, ['theirs', ...again, 'new'], from);
  }
});

test('login in an announcement begins nothing of the next user', async () => {
  const { world, line, push } = await online();
  const seen: unknown[] = [];
  world.gateway.subs = ['tasks'];
  line.on('subscription', () => {
    world.gateway.user = 'u2';
    world.gateway.subs = [];
    line.login({ token: 'two' });
    line.subscribe('tasks', {
      onSubscribed: ({ channel }) => seen.push(channel),
      onPublication: ({ data }) => seen.push(data),
    });
    assert.deepEqual(seen, [], 'the announcement was for the last user');
  });
  world.gateway.forget();
  world.cut();
  await world.advance(5_000);
  await push('tasks', 1);
  assert.deepEqual(seen, ['tasks', 1]);
});
