/** A line that outlives its app, against a gateway in memory; and the storage of each kind of host. */

import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { afterEach, test } from 'node:test';
import { alipayDevice, browserDevice, detectDevice, type Device } from '../src/storage-backends.js';
import type { Host } from '../src/host.js';
import { Tautline, type TautlineOptions } from '../src/index.js';
import { json } from '../src/msgpack.js';
import { storage, type RestoredOutcome, type RestoredRequest, type StorageOptions } from '../src/storage.js';
import { World } from './fakes/world.js';

/** A device that keeps texts, unless it is full. */
class FakeDevice implements Device {
  readonly texts = new Map<string, string>();
  full = false;
  writes = 0;
  get(key: string): unknown {
    return this.texts.get(key) ?? '';
  }
  set(key: string, text: string): void {
    if (this.full) throw new Error('the storage is full');
    this.writes++;
    this.texts.set(key, text);
  }
  remove(key: string): void {
    this.texts.delete(key);
  }
}

/** One life of an app after the other, in one world and on one device. */
class Phone {
  readonly world = new World();
  readonly device = new FakeDevice();
  readonly outcomes: RestoredOutcome[] = [];
  readonly restored: RestoredRequest[] = [];
  readonly failures: unknown[] = [];
  /** Ends the app that runs: nothing that it began goes on, and nobody tells it anything. */
  destroy = (): void => {};

  constructor(
    private readonly shipped: { Tautline: typeof Tautline; storage: typeof storage } = { Tautline, storage },
  ) {}

  start(more: Partial<StorageOptions> = {}, options: Partial<TautlineOptions> = {}): Tautline {
    const { world } = this;
    let alive = true;
    this.destroy = () => {
      alive = false;
      world.wire.dead = true;
      world.watcher = undefined;
    };
    const living =
      <A extends unknown[]>(act: (...args: A) => void) =>
      (...args: A) => {
        if (alive) act(...args);
      };
    const host: Host = {
      platform: 'test',
      slots: 2,
      background: true,
      now: world.now,
      watch: world.watch,
      setTimer: (delayMs, fire) => world.setTimer(delayMs, living(fire)),
      dial: (url, protocol, socket, tell) => {
        const dialled = world.dial(url, protocol ?? '', socket, living(tell));
        return {
          send: living((text) => dialled.send(text as string)),
          close: living((code, reason) => dialled.close(code, reason)),
        };
      },
    };
    const kept = this.shipped.storage({
      device: this.device,
      onSettled: (outcome) => this.outcomes.push(outcome),
      onRestored: (requests) => this.restored.push(...requests),
      onFailed: (error) => this.failures.push(error),
      ...more,
    });
    return new this.shipped.Tautline({ url: 'ws://a.example/connect', host, storage: kept, ...options });
  }
}

test('what an app could not send before it was destroyed is sent by the next one, once', async () => {
  const phone = new Phone();
  const { world } = phone;
  world.unreachable = true;
  const line = phone.start();
  void line.publish('room:7', 'from the tunnel');
  await world.advance(2_000);
  phone.destroy();
  world.unreachable = false;
  phone.start();
  await world.advance(200);
  assert.deepEqual(world.gateway.all('publish'), [{ channel: 'room:7', data: 'from the tunnel' }]);
  assert.deepEqual(phone.restored, [
    { verb: 'publish', body: { channel: 'room:7', data: 'from the tunnel' } },
  ]);
  assert.equal(phone.outcomes.length, 1);
  assert.equal((phone.outcomes[0]!.ok as { offset: number }).offset, 1);
  await world.advance(2_000);
  phone.destroy();
  phone.start().connect();
  await world.advance(200);
  assert.equal(world.gateway.all('publish').length, 1, 'a third life has nothing left to send');
});

test('an app that is destroyed before the answer comes asks again under the same id, and it is executed once', async () => {
  const phone = new Phone();
  const { world } = phone;
  const line = phone.start();
  line.connect();
  await world.advance(100);
  void line.call('echo', 'once');
  await world.advance(world.latencyMs);
  phone.destroy();
  const next = phone.start();
  const other = next.call('echo', 'another');
  await world.advance(200);
  assert.deepEqual(world.gateway.executed, ['once', 'another']);
  assert.equal(await other, 'another', 'old numbers and new ones are not confused');
  assert.deepEqual(
    phone.outcomes.map(({ verb, ok }) => [verb, ok]),
    [['call', { data: 'once' }]],
  );
});

test('a text that is refused is told to the app', async () => {
  const phone = new Phone();
  const told: unknown[] = [];
  for (const text of ['{"v":2}', 'nonsense', '{"v":1,"next_id":1.5,"requests":[],"cursors":{}}', '']) {
    phone.device.texts.set('tautline:line', text);
    phone.start({ onRestored: (requests, error) => told.push([requests.length, error instanceof Error]) });
    await phone.world.advance(10);
  }
  assert.deepEqual(told, [
    [0, true],
    [0, true],
    [0, true],
  ]);
});

test('odd numbers of an app cost nothing that is stored', async () => {
  const odd = [90_000.5, NaN, -1, Infinity, -Infinity, 1e300, 0.1, null, undefined, '7', {}] as never[];
  for (const [index, timeout] of odd.entries()) {
    const phone = new Phone();
    const { world } = phone;
    world.unreachable = true;
    const option = odd[(index + 3) % odd.length]!;
    // What a line refuses when it is made is in `options-space.test.ts`.
    const session = {
      request_ttl_ms: option >= 0 && typeof option === 'number' ? option : undefined,
      outbox_bytes_max: Math.max(4_096, index) + 0.5,
      store_ms: option,
    };
    const line = phone.start({ store_ms: option }, session);
    const cursor = { epoch: 'k1', offset: index + 0.5, at: odd[(index + 5) % odd.length]! };
    line.subscribe('room:7', { from: cursor });
    line.publish('room:7', index, { timeout }).catch(() => {});
    line.publish('room:7', 'sane', { timeout: 90_000 }).catch(() => {});
    await world.advance(1_100);
    world.unreachable = false;
    phone.destroy();
    const refused: unknown[] = [];
    phone.start({
      onRestored: (requests, error) => (error ? refused.push(error) : phone.restored.push(...requests)),
    });
    await world.advance(2_000);
    assert.deepEqual(refused, [], String(timeout));
    assert.ok(
      world.gateway.all('publish').some((body) => (body as { data: unknown }).data === 'sane'),
      String(timeout),
    );
    for (const body of world.gateway.all('subscribe') as { from: { offset: number; at?: number } }[]) {
      assert.ok(
        Number.isInteger(body.from.offset) && (body.from.at === undefined || Number.isInteger(body.from.at)),
      );
    }
  }
});

test('a restarted app numbers above ids that were said to be seen', async () => {
  const phone = new Phone();
  const { world } = phone;
  world.gateway.saysNoRequestsSeen = true;
  const line = phone.start();
  void line.publish('room:7', 'first');
  await world.advance(2_000);
  for (let page = 0; page < 5; page++) void line.history('room:7');
  await world.advance(20_000);
  phone.destroy();
  const next = phone.start();
  const seen: unknown[] = [];
  next.subscribe('room:7', { onPublication: ({ data }) => seen.push(data) });
  await world.advance(200);
  const published = [1, 2, 3, 4, 5, 6].map((n) => next.publish('room:7', n));
  await world.advance(200);
  assert.deepEqual(
    await Promise.all(published.map((one) => one.then(({ offset }) => offset))),
    [2, 3, 4, 5, 6, 7],
  );
  assert.deepEqual(seen, [1, 2, 3, 4, 5, 6]);
});

test('from its start to the first missed publication an app needs one connection and one round trip', async () => {
  const phone = new Phone();
  const { world } = phone;
  const heard: [unknown, boolean][] = [];
  const onPublication = ({ data, redelivered }: { data: unknown; redelivered: boolean }) =>
    heard.push([data, redelivered]);
  phone.start().subscribe('room:7', { onPublication });
  await world.advance(100);
  world.gateway.publish('room:7', 'seen', world.now());
  await world.advance(50);
  world.watcher!({ type: 'hide' });
  await world.advance(4_500);
  phone.destroy();
  world.gateway.publish('room:7', 'missed', world.now());
  const packets = world.gateway.received.length;
  const wires = world.wires.length;
  phone.start().subscribe('room:7', { onPublication });
  await world.advance(3 * world.latencyMs);
  assert.deepEqual(heard, [
    ['seen', false],
    ['missed', false],
  ]);
  assert.equal(world.gateway.received.length - packets, 1, 'the hello says it all');
  assert.equal(world.wires.length - wires, 1);
});

test('what may have been handed over before an app was killed in the foreground is marked', async () => {
  const phone = new Phone();
  const { world } = phone;
  const heard: [unknown, boolean][] = [];
  const onPublication = ({ data, redelivered }: { data: unknown; redelivered: boolean }) =>
    heard.push([data, redelivered]);
  phone.start().subscribe('room:7', { onPublication });
  await world.advance(1_500);
  world.gateway.publish('room:7', 1, world.now());
  await world.advance(500);
  phone.destroy();
  phone.start().subscribe('room:7', { onPublication });
  await world.advance(100);
  world.gateway.publish('room:7', 2, world.now());
  await world.advance(100);
  assert.deepEqual(heard, [
    [1, false],
    [1, true],
    [2, false],
  ]);
});

test('a request whose time ran out while the app was dead is told to the next one', async () => {
  const phone = new Phone();
  const { world } = phone;
  world.unreachable = true;
  void phone.start().publish('room:7', 'late', { timeout: 5_000 });
  await world.advance(1_000);
  phone.destroy();
  await world.advance(60_000);
  world.unreachable = false;
  phone.start();
  await world.advance(100);
  assert.deepEqual(
    phone.outcomes.map(({ error }) => error!.code),
    ['expired'],
  );
  assert.deepEqual(world.gateway.all('publish'), []);
});

test('where the storage is full the app is told once, and the line goes on without', async () => {
  const phone = new Phone();
  const { world, device } = phone;
  const line = phone.start();
  line.connect();
  await world.advance(100);
  assert.equal(device.texts.size, 1);
  device.full = true;
  for (const data of [1, 2, 3]) {
    const answer = line.call('echo', data);
    await world.advance(100);
    assert.equal(await answer, data);
  }
  assert.equal(phone.failures.length, 1);
  assert.equal(device.texts.size, 0, 'what is out of date is removed');
});

test('a device that forbids everything costs the storage and nothing else', async () => {
  const forbids = () => {
    throw new Error('not allowed');
  };
  const phone = new Phone();
  const line = phone.start({ device: { get: forbids, set: forbids, remove: forbids } });
  const answer = line.call('echo', 1);
  await phone.world.advance(100);
  assert.equal(await answer, 1);
  assert.equal(phone.failures.length, 1);
});

test('a text that is damaged begins afresh', async () => {
  const phone = new Phone();
  phone.device.texts.set('tautline:line', '{"v":1,"ticket":');
  const answer = phone.start().call('echo', 1);
  await phone.world.advance(100);
  assert.equal(await answer, 1);
  assert.equal(
    (JSON.parse(phone.device.texts.get('tautline:line')!) as { ticket: string }).ticket,
    'ticket-1',
  );
});

test('a closed line leaves nothing behind, and another name is another line', async () => {
  const phone = new Phone();
  const line = phone.start({ name: 'u42' });
  line.connect();
  await phone.world.advance(100);
  assert.deepEqual([...phone.device.texts.keys()], ['tautline:u42']);
  line.close();
  assert.equal(phone.device.texts.size, 0);
});

test('what ships fits together: storage reads the private parts of a line that comes in another file', async () => {
  const shipped = (entry: string) => require(resolve(__dirname, '../../../dist/mini', entry)) as object;
  for (const entry of ['index', 'wechat', 'alipay', 'browser']) {
    const phone = new Phone({ ...shipped(entry), ...shipped('storage') } as never);
    const line = phone.start();
    line.subscribe('room:7', {});
    await phone.world.advance(1_500);
    void line.call('echo', 'once');
    await phone.world.advance(phone.world.latencyMs);
    phone.destroy();
    const text = JSON.parse(phone.device.texts.get('tautline:line')!) as {
      requests: { id: number }[];
      cursors: object;
    };
    assert.deepEqual(
      [text.requests.map(({ id }) => id), Object.keys(text.cursors)],
      [[2], ['room:7']],
      entry,
    );
    phone.start();
    await phone.world.advance(200);
    assert.deepEqual(phone.world.gateway.executed, ['once'], entry);
    assert.deepEqual(
      phone.outcomes.map(({ ok }) => ok),
      [{ data: 'once' }],
      entry,
    );
  }
});

test('bytes that wait outlive the app, and are bytes again when they come back', async () => {
  const phone = new Phone();
  const { world } = phone;
  world.unreachable = true;
  const photo = new Uint8Array([0, 128, 255]).buffer;
  void phone.start({}, { format: json }).call('echo', { photo });
  await world.advance(2_000);
  phone.destroy();
  world.unreachable = false;
  phone.start({}, { format: json });
  await world.advance(200);
  assert.deepEqual(world.gateway.executed, [{ photo: { $bin: 'AID/' } }]);
  assert.deepEqual(
    phone.outcomes.map(({ ok }) => ok),
    [{ data: { photo } }],
  );
});

test('a line that is idle writes nothing', async () => {
  const phone = new Phone();
  phone.start().subscribe('room:7', {});
  await phone.world.advance(10_000);
  const { writes } = phone.device;
  await phone.world.advance(120_000);
  assert.equal(phone.device.writes, writes);
});

const globals = globalThis as { [name: string]: unknown };

afterEach(() => ['wx', 'tt', 'my', 'localStorage'].forEach((name) => delete globals[name]));

/** `wx` and its like, which answer `''` where there is nothing. */
function fakeMini(texts: Map<string, unknown>) {
  return {
    setStorageSync: (key: string, data: unknown) => void texts.set(key, data),
    getStorageSync: (key: string) => texts.get(key) ?? '',
    removeStorageSync: (key: string) => void texts.delete(key),
  };
}

function keeps(device: Device): void {
  device.set('a', 'text');
  assert.equal(device.get('a'), 'text');
  device.remove('a');
  assert.ok(!device.get('a'));
}

test("WeChat's storage is found, and that of a host which only calls itself so before it", () => {
  const [wechat, douyin] = [new Map<string, unknown>(), new Map<string, unknown>()];
  globals.wx = fakeMini(wechat);
  keeps(detectDevice());
  globals.tt = fakeMini(douyin);
  detectDevice().set('a', 'text');
  assert.deepEqual([wechat.size, douyin.size], [0, 1]);
});

test("Alipay's storage has its own signature, and returns its errors", () => {
  const texts = new Map<string, unknown>();
  let result: object = { success: true };
  globals.wx = fakeMini(new Map());
  globals.my = {
    setStorageSync: ({ key, data }: { key: string; data: unknown }) => (texts.set(key, data), result),
    getStorageSync: ({ key }: { key: string }) => ({ data: texts.get(key) ?? null }),
    removeStorageSync: ({ key }: { key: string }) => (texts.delete(key), result),
  };
  keeps(detectDevice());
  result = { error: 14, errorMessage: 'full' };
  assert.throws(() => detectDevice().set('a', 'text'), { error: 14 });
  keeps(
    alipayDevice({
      ...(globals.my as Parameters<typeof alipayDevice>[0]),
      setStorageSync: ({ key, data }) => void texts.set(key, data),
      removeStorageSync: ({ key }) => void texts.delete(key),
    }),
  );
});

test("a browser's storage is found; where there is none, looking for it throws and no more", () => {
  const texts = new Map<string, string>();
  const local = {
    setItem: (key: string, text: string) => void texts.set(key, text),
    getItem: (key: string) => texts.get(key) ?? null,
    removeItem: (key: string) => void texts.delete(key),
  };
  keeps(browserDevice(local));
  globals.localStorage = local;
  keeps(detectDevice());
  delete globals.localStorage;
  assert.throws(() => detectDevice().get('a'));
});

for (const [what, set] of [
  ['returns and has stored nothing', () => {}],
  ['gives a boolean and has stored nothing', () => false],
  [
    'stores half',
    function (this: FakeDevice, key: string, text: string) {
      this.texts.set(key, text.slice(0, 20));
    },
  ],
] as [string, (this: FakeDevice, key: string, text: string) => void][]) {
  test(`a device that ${what}: onFailed, and the line goes on`, async () => {
    const phone = new Phone();
    phone.device.set = set;
    const line = phone.start();
    const answer = line.call('echo', 1);
    await phone.world.advance(200);
    assert.equal(await answer, 1);
    assert.equal(phone.failures.length, 1);
    assert.match(String(phone.failures[0]), /does not give back/);
    assert.equal(phone.device.texts.size, 0, 'half a text is worse than none');
  });
}
