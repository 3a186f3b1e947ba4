/** Handlers that share a channel, and handlers that call the line: each is served from a place of its own, and none after its end. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Tautline, type Subscription } from '../src/index.js';
import { page } from '../src/page.js';
import { lined } from './fakes/lined.js';
import { World } from './fakes/world.js';

/** A handler that notes what it hears. */
function noting(seen: unknown[], name?: string) {
  const note = (what: unknown) => seen.push(name === undefined ? what : `${name}:${String(what)}`);
  return {
    onPublication: ({ data }: { data: unknown }) => note(data),
    onGap: ({ reason }: { reason: string }) => note(reason),
    onSubscribed: ({ cursor, recovering }: { cursor: { offset: number }; recovering: number }) =>
      note(`@${cursor.offset}+${recovering}`),
    onUnsubscribed: ({ code }: { code: string }) => note(code),
  };
}

test('a page shown again hears what it missed while others listened', async () => {
  const { world, line, publish } = await lined();
  const app: unknown[] = [];
  const shown: unknown[] = [];
  line.subscribe('room:7', { onPublication: ({ data }) => app.push(data) });
  const its = page(line);
  its.subscribe(
    'room:7',
    { onPublication: ({ data }) => shown.push(data), onGap: () => shown.push('gap') },
    { while: 'shown' },
  );
  await world.advance(100);
  await publish('room:7', 0);
  await publish('room:7', 1);
  its.hide();
  await publish('room:7', 2);
  await publish('room:7', 3);
  its.show();
  await publish('room:7', 4);
  assert.deepEqual(app, [0, 1, 2, 3, 4]);
  assert.deepEqual(shown, [0, 1, 2, 3, 4]);
});

test('a handler in a log that was replaced meanwhile is told of the gap', async () => {
  const { world, line, publish } = await lined();
  const first: unknown[] = [];
  const second: unknown[] = [];
  line.subscribe('room:7', noting(first));
  await world.advance(100);
  await publish('room:7', 1);
  world.unreachable = true;
  world.cut();
  line.subscribe('room:7', { ...noting(second), from: 'acked' });
  world.gateway.replaceLogs('k2');
  world.unreachable = false;
  await world.advance(2_000);
  await publish('room:7', 'of the new log');
  assert.deepEqual(first, ['@0+0', 1, '@1+0', 'new_epoch', 'of the new log']);
  assert.deepEqual(second, ['@0+0', 'of the new log']);
});

test('a start is not taken away by another handler that goes back', async () => {
  const { world, line, publish } = await lined();
  const [first, third]: [unknown[], unknown[]] = [[], []];
  for (const n of [1, 2, 3]) await publish('room:7', n);
  world.gateway.acked.set('room:7', 3);
  line.subscribe('room:7', { ...noting(first), from: 'start' });
  const other = line.subscribe('room:7', {});
  line.subscribe('room:7', { from: 'acked', onSubscribed: () => other.unsubscribe() });
  line.subscribe('room:7', { ...noting(third), from: { epoch: 'k1', offset: 2 } });
  await world.advance(1_000);
  assert.deepEqual(first, ['@0+3', 1, 2, 3]);
  assert.deepEqual(third, ['@2+1', 3]);
});

for (const [from, expected] of [
  ['start', ['@0+3', 1, 2, 3, 4]],
  ['acked', ['@1+2', 2, 3, 4]],
  [{ epoch: 'k1', offset: 2 }, ['@2+1', 3, 4]],
  ['now', ['@3+0', 4]],
] as const) {
  test(`a second handler from ${JSON.stringify(from)} begins at its own place`, async () => {
    const { world, line, publish } = await lined();
    const first: unknown[] = [];
    const second: unknown[] = [];
    line.subscribe('room:7', noting(first));
    await world.advance(100);
    for (const n of [1, 2, 3]) await publish('room:7', n);
    world.gateway.acked.set('room:7', 1);
    line.subscribe('room:7', { ...noting(second), from });
    await world.advance(100);
    await publish('room:7', 4);
    assert.deepEqual(first, ['@0+0', 1, 2, 3, 4]);
    assert.deepEqual(second, expected);
  });
}

test('a start beyond the others goes back for them', async () => {
  const { world, line, publish } = await lined();
  const seen: unknown[] = [];
  line.subscribe('room:7', noting(seen, 'a'));
  await publish('room:7', 1);
  world.cut();
  for (const n of [2, 3, 4]) world.gateway.publish('room:7', n, world.now());
  line.subscribe('room:7', { ...noting(seen, 'b'), from: { epoch: 'k1', offset: 3 } });
  await world.advance(200);
  await publish('room:7', 5);
  assert.deepEqual(
    seen.filter((one) => String(one)[0] === 'a').slice(-5),
    ['a:1', 'a:@1+3', 'a:2', 'a:3', 'a:4'].slice(1).concat('a:5'),
  );
  assert.deepEqual(
    seen.filter((one) => String(one)[0] === 'b'),
    ['b:@3+1', 'b:4', 'b:5'],
  );
});

test('starts of their own are served one after the other', async () => {
  const { world, line, publish } = await lined();
  const seen: unknown[] = [];
  for (const n of [1, 2, 3]) await publish('room:7', n);
  line.subscribe('room:7', noting(seen, 'now'));
  line.subscribe('room:7', { ...noting(seen, 'two'), from: { epoch: 'k1', offset: 2 } });
  line.subscribe('room:7', { ...noting(seen, 'start'), from: 'start' });
  await world.advance(300);
  await publish('room:7', 4);
  const of = (name: string) =>
    seen.filter((one) => String(one).startsWith(name + ':')).map((one) => String(one).slice(name.length + 1));
  assert.deepEqual(of('now'), ['@3+0', '4']);
  assert.deepEqual(of('two'), ['@2+1', '3', '4']);
  assert.deepEqual(of('start'), ['@0+3', '1', '2', '3', '4']);
});

test('a gap is told to those whose place it is about', async () => {
  const { world, line, publish } = await lined();
  const seen: unknown[] = [];
  line.subscribe('room:7', noting(seen, 'a'));
  await world.advance(100);
  for (const n of [1, 2, 3]) await publish('room:7', n);
  world.gateway.trimmed.set('room:7', 2);
  line.subscribe('room:7', { ...noting(seen, 'b'), from: { epoch: 'k1', offset: 1 } });
  await world.advance(100);
  await publish('room:7', 4);
  const of = (name: string) =>
    seen.filter((one) => String(one).startsWith(name + ':')).map((one) => String(one).slice(name.length + 1));
  assert.deepEqual(of('a'), ['@0+0', '1', '2', '3', '4'], 'the first one had all of it');
  assert.deepEqual(of('b'), ['@1+1', 'retention', '3', '4']);
});

test('leaving and coming back inside a handler hears nothing old', async () => {
  const { world, line } = await lined();
  const old: unknown[] = [];
  const fresh: unknown[] = [];
  for (const n of [1, 2, 3, 4]) world.gateway.publish('room:7', n, world.now());
  const first: Subscription = line.subscribe('room:7', {
    from: 'start',
    onPublication({ data }) {
      old.push(data);
      first.unsubscribe();
      line.subscribe('room:7', { ...noting(fresh), from: 'start' });
    },
  });
  await world.advance(300);
  assert.deepEqual(old, [1]);
  assert.deepEqual(fresh, ['@0+4', 1, 2, 3, 4]);
});

test('subscribing again inside onUnsubscribed subscribes again', async () => {
  const { world, line, publish } = await lined();
  const seen: unknown[] = [];
  line.subscribe('room:7', {
    onUnsubscribed: ({ code }) => {
      seen.push(code);
      line.subscribe('room:7', { onPublication: ({ data }) => seen.push(data) });
    },
  });
  await world.advance(100);
  world.gateway.tell({ unsubscribed: { channel: 'room:7', code: 'permission_denied', message: '' } });
  await world.advance(100);
  await publish('room:7', 1);
  assert.deepEqual(seen, ['permission_denied', 1]);
});

test('an object changed after publish is sent as it was', async () => {
  const { world, line, publish } = await lined();
  const m: { n: number; self?: unknown } = { n: 0 };
  const sent: Promise<unknown>[] = [];
  const publishNow = () => sent.push(line.publish('log', m).catch((error: Error) => error.name));
  line.subscribe('room:7', {
    onPublication() {
      m.n = 1;
      publishNow();
      m.n = 2;
      publishNow();
      m.self = m;
    },
  });
  await world.advance(100);
  await publish('room:7', 'go');
  await publish('room:7', 'go');
  assert.equal((await Promise.all(sent))[2], 'TautlineError', 'circular by then');
  assert.deepEqual(world.gateway.all('publish').slice(0, 2), [
    { channel: 'log', data: { n: 1 } },
    { channel: 'log', data: { n: 2 } },
  ]);
  line.close();
  assert.equal(line.state, 'closed');
});

test('a trace that throws does not stop the line', async () => {
  const errors: unknown[] = [];
  let traced = 0;
  const world = new World();
  const trace = () => {
    if (traced++ % 2) throw new Error('of the trace');
  };
  const line = new Tautline({ url: 'ws://a.example/connect', host: world, trace });
  line.on('error', (error) => errors.push(error));
  const answer = line.call('echo', 1);
  await world.advance(100);
  assert.equal(await answer, 1);
  assert.ok(errors.length > 2);
  line.close();
  assert.equal(line.state, 'closed');
});

test('a host that throws costs a dial and not the line', async () => {
  const { world, line } = await lined();
  const { dial } = world;
  const errors: unknown[] = [];
  line.on('error', (error) => errors.push(error));
  world.dial = () => {
    world.dial = dial;
    throw new Error('of the host');
  };
  world.cut();
  await world.advance(20_000);
  assert.equal(errors.length, 1);
  assert.equal(line.state, 'online');
});

test('a login that is no JSON is a failed login', async () => {
  let asked = 0;
  const circular: { token: string; self?: unknown } = { token: 'a' };
  circular.self = circular;
  const { world, line } = await lined({ auth: () => (asked++ ? { token: 'a' } : circular) });
  await world.advance(1_000);
  assert.equal(line.state, 'online');
});

test('a handler that another one ended hears nothing more', async () => {
  const { world, line, publish } = await lined();
  const seen: unknown[] = [];
  line.subscribe('room:7', { onPublication: () => second.unsubscribe() });
  const second = line.subscribe('room:7', { onPublication: ({ data }) => seen.push(data) });
  await world.advance(100);
  await publish('room:7', 1);
  assert.deepEqual(seen, []);
});

test('a listener that another one took off hears nothing more', async () => {
  const { world, line } = await lined();
  const seen: unknown[] = [];
  line.on('drop', () => off());
  const off = line.on('drop', ({ cause }) => seen.push(cause));
  world.cut();
  await world.advance(100);
  assert.deepEqual(seen, []);
});

test('after close in a handler nothing more is handed over', async () => {
  const { world, line } = await lined();
  const seen: unknown[] = [];
  for (const n of [1, 2, 3]) world.gateway.publish('room:7', n, world.now());
  line.subscribe('room:7', {
    from: 'start',
    onPublication({ data }) {
      seen.push(data);
      line.close();
      seen.push(line.state);
    },
  });
  await world.advance(300);
  assert.deepEqual(seen, [1, 'closed']);
});

test('what a handler closes the line over was handled', async () => {
  const { world, line } = await lined();
  world.gateway.publish('orders', 1, world.now());
  line.subscribe('orders', { from: 'acked', onPublication: () => line.close() });
  await world.advance(300);
  assert.equal(world.gateway.acked.get('orders'), 1);
});

test('what was handled is acknowledged before its handler leaves', async () => {
  for (const cut of [false, true]) {
    const { world, line } = await lined();
    world.gateway.publish('orders', 1, world.now());
    const it = line.subscribe('orders', { from: 'acked', onPublication: () => {} });
    await world.advance(300);
    if (cut) world.cut();
    it.unsubscribe();
    await world.advance(300);
    assert.equal(world.gateway.acked.get('orders'), 1, cut ? 'on the next connection' : 'at once');
    world.gateway.publish('orders', 2, world.now());
    await world.advance(10_000);
    assert.equal(world.gateway.acked.get('orders'), 1);
  }
});

test('ending a subscription twice does not end another', async () => {
  const { world, line, publish } = await lined();
  const seen: unknown[] = [];
  const handlers = { onPublication: ({ data }: { data: unknown }) => seen.push(data) };
  const first = line.subscribe('room:7', handlers);
  line.subscribe('room:7', handlers);
  first.unsubscribe();
  first.unsubscribe();
  await world.advance(100);
  await publish('room:7', 1);
  assert.deepEqual(seen, [1]);
});

test('a page that is gone subscribes to nothing', async () => {
  const { world, line, publish } = await lined();
  const seen: unknown[] = [];
  const its = page(line);
  its.unload();
  its.subscribe('room:7', { onPublication: ({ data }) => seen.push(data) });
  its.subscribe('room:7', { onPublication: ({ data }) => seen.push(data) }, { while: 'shown' });
  its.on('drop', ({ cause }) => seen.push(cause));
  await publish('room:7', 1);
  world.cut();
  await world.advance(100);
  assert.deepEqual(seen, []);
  assert.equal(world.gateway.all('subscribe').length, 0);
});

test('connections lost by the network leave no socket object', async () => {
  const { world, line } = await lined();
  const collect = (globalThis as { gc?: () => void }).gc;
  const refs: WeakRef<object>[] = [];
  const { dial } = world;
  world.dial = (...args) => {
    const socket = dial(...args);
    refs.push(new WeakRef(socket));
    return socket;
  };
  for (let cut = 0; cut < 20; cut++) {
    world.cut();
    await world.advance(60_000);
  }
  assert.equal(line.state, 'online');
  assert.ok(refs.length >= 20);
  if (!collect) return;
  world.wires.splice(0, world.wires.length - 1);
  collect();
  await world.advance(1);
  collect();
  assert.ok(refs.filter((ref) => ref.deref()).length <= 2);
});

test('whatever a host says of a close, the hello after it is well-formed', async () => {
  const odd: { code?: unknown; reason?: unknown; message?: unknown }[] = [
    { code: 1006, reason: {} },
    { code: 1006.5, reason: 7 },
    { code: 'none', reason: new Error('of the host') },
    { code: NaN, reason: '\ud83d'.repeat(3), message: null },
    { code: 1e300, reason: 'x'.repeat(300_000) },
    { code: {}, reason: ['a'] },
  ];
  const { world, line } = await lined();
  const { now } = world;
  world.now = () => now() + 0.25;
  for (const words of odd) {
    const { wire } = world;
    wire.dead = true;
    (wire as unknown as { tell(fact: object): void }).tell({
      type: 'socket_closed',
      socket: wire.socket,
      ...words,
    });
    await world.advance(60_000);
    assert.equal(line.state, 'online', JSON.stringify(words));
    const hello = world.gateway.all('hello').at(-1) as {
      resume: { attempt: number };
      last_drop: { code?: number; reason?: string; offline_ms: number };
    };
    const { code, reason = '', offline_ms } = hello.last_drop;
    assert.ok(code === undefined || Number.isInteger(code), JSON.stringify(hello));
    assert.ok(typeof reason === 'string' && reason.length <= 256 && !/[\ud800-\udfff]/.test(reason));
    assert.ok(Number.isInteger(offline_ms) && Number.isInteger(hello.resume.attempt));
  }
});
