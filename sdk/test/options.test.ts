/** What a line is made with is checked when it is made; what goes wrong later is told in words. */

import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import { test } from 'node:test';
import { json } from '../src/msgpack.js';
import { storage } from '../src/storage.js';
import { Tautline, TautlineError, type TautlineOptions } from '../src/index.js';
import { setTimer } from '../src/hosts/clock.js';
import { Tautline as Browser } from '../src/entries/browser.js';
import { msgpack } from '../src/msgpack.js';
import { lined } from './fakes/lined.js';
import { World } from './fakes/world.js';

const url = 'wss://a.example/connect';
const host = new World();

/** What a promise was rejected with. */
const rejection = (promise: Promise<unknown>): Promise<TautlineError> =>
  promise.then(
    () => assert.fail('it was not rejected'),
    (error: TautlineError) => error,
  );

for (const [name, options] of [
  ['url', undefined],
  ['url', {}],
  ['url', { url: '' }],
  ['url', { url: 'https://a.example/connect' }],
  ['url', { url: 'wss:///connect' }],
  ['host', { url, host: { connectSocket() {} } }],
  ['storage', { url, storage: {} }],
  ['storage', { url, storage }],
  ['format', { url, format: undefined }],
  ['format', { url, format: 'msgpack' }],
  ['probe_ms', { url, probe_ms: NaN }],
  ['probe_ms', { url, probe_ms: 0.5 - 1 }],
  ['connect_timeout_ms', { url, connect_timeout_ms: '5000' }],
  ['retry_max_ms', { url, retry_max_ms: null }],
  ['retry_base_ms', { url, retry_base_ms: 0 }],
  ['outbox_bytes_max', { url, outbox_bytes_max: -Infinity }],
  ['idle_ms', { url, idle_ms: [5] }],
  ['slots', { url, slots: 0 }],
  ['slots', { url, slots: 3 }],
  ['background', { url, background: 'no' }],
  ['outbox_full', { url, outbox_full: 'drop' }],
  ['outbox_full', { url, outbox_full: '' }],
] as [string, object | undefined][]) {
  test(`a wrong option is named: ${inspect(options, { breakLength: Infinity, depth: 1 })}`, () => {
    const given = options && { host, ...options };
    assert.throws(
      () => new Tautline(given as unknown as TautlineOptions),
      (error: TautlineError) =>
        error.code === 'bad_option' && error.message.startsWith(`option ${name} cannot be `),
    );
  });
}

test('a text where a number is wanted is told as a text', () => {
  const options = { host, url, connect_timeout_ms: '5000' } as unknown as TautlineOptions;
  assert.throws(() => new Tautline(options), { message: 'option connect_timeout_ms cannot be "5000"' });
});

test('right options pass', () => {
  for (const more of [
    {},
    { format: json },
    { slots: 1, idle_ms: 0.5 },
    { slots: undefined, retry_max_ms: Infinity, report_ms: 0 },
    { auth: undefined, storage: undefined },
  ]) {
    assert.equal(new Tautline({ url: 'WS://[::1]:8000', host, ...more } as TautlineOptions).state, 'idle');
  }
});

test('on a server a line can be made, and fails when it is used', async () => {
  const here = globalThis as { WebSocket?: unknown };
  const { WebSocket } = here;
  delete here.WebSocket;
  try {
    for (const Line of [Tautline, Browser]) {
      const line = new Line({ url, storage: storage() });
      line.on('state', () => assert.fail('nothing happens'));
      assert.equal(line.state, 'idle');
      assert.throws(() => line.connect(), /TautlineError: no WebSocket here: pass a `host`/);
      assert.throws(() => line.subscribe('news', {}), { code: 'no_host' });
      assert.equal((await rejection(line.call('echo'))).code, 'no_host');
      line.close();
    }
  } finally {
    if (WebSocket) here.WebSocket = WebSocket;
  }
});

test('an error prints as what it is, with its message', () => {
  const error = new TautlineError({ code: 'too_large' });
  assert.match(inspect(error), /^(Error \[TautlineError\]|TautlineError): too large\n +at /);
  assert.match(String(error.stack), /^TautlineError: too large\n/);
  assert.equal(`${error}`, 'TautlineError: too large');
});

test('bytes without a format are told in words', async () => {
  const { line } = await lined();
  assert.equal(
    (await rejection(line.publish('room:7', new ArrayBuffer(1)))).message,
    'bytes need a `format`',
  );
});

test("a back end's own words are not replaced", () => {
  assert.equal(new TautlineError({ code: 'timeout', message: 'the bank slept' }).message, 'the bank slept');
  assert.equal(new TautlineError({ code: 'card_refused' }).message, 'card refused');
});

for (const [what, data] of [
  ['a BigInt', 1n],
  [
    'a circle',
    (() => {
      const it: { self?: unknown } = {};
      it.self = it;
      return it;
    })(),
  ],
  [
    'a toJSON that throws',
    {
      toJSON() {
        throw new Error('of the app');
      },
    },
  ],
] as const) {
  test(`${what} rejects with a TautlineError`, async () => {
    const { line, world } = await lined();
    const failed = rejection(line.publish('room:7', data));
    const fine = line.call('echo', 2);
    await world.advance(100);
    const error = await failed;
    assert.ok(error instanceof TautlineError);
    assert.equal(error.code, 'bad_data');
    assert.ok(error.message.length > 8);
    assert.equal(await fine, 2);
  });
}

test('unsubscribing twice ends one subscription, not another with the same handlers', async () => {
  const { line, world, publish } = await lined();
  const seen: unknown[] = [];
  const handlers = { onPublication: ({ data }: { data: unknown }) => seen.push(data) };
  const first = line.subscribe('room:7', handlers);
  line.subscribe('room:7', handlers);
  await world.advance(100);
  first.unsubscribe();
  first.unsubscribe();
  await publish('room:7', 1);
  assert.deepEqual(seen, [1]);
});

test("auth that rejects with a host's error is told in its words", async () => {
  const { line, world } = await lined();
  line.close();
  const messages: unknown[] = [];
  const other = new Tautline({
    url,
    host: world,
    auth: () => Promise.reject({ errMsg: 'login:fail no permission' }),
  });
  other.on('drop', ({ message }) => messages.push(message));
  other.connect();
  await world.advance(50);
  assert.equal(messages[0], 'login:fail no permission');
});

test('a timer longer than any engine waits is cut', () => {
  const here = globalThis as { setTimeout: unknown };
  const { setTimeout } = here;
  const delays: number[] = [];
  here.setTimeout = (_fire: () => void, delayMs: number) => delays.push(delayMs);
  try {
    for (const delayMs of [30 * 86_400_000, 2 ** 31, Infinity, 5]) setTimer(delayMs, () => {});
  } finally {
    here.setTimeout = setTimeout;
  }
  assert.deepEqual(delays, [2 ** 31 - 1, 2 ** 31 - 1, 2 ** 31 - 1, 5]);
});

for (const [given, dialled] of [
  ['wss://a.example/connect', 'wss://a.example/connect?format=msgpack'],
  ['wss://a.example/connect?key=1', 'wss://a.example/connect?key=1&format=msgpack'],
] as const) {
  test(`msgpack is asked for in the address too: ${given}`, async () => {
    const world = new World();
    new Tautline({ url: given, host: world, format: msgpack }).connect();
    await world.advance(5);
    assert.deepEqual([world.wire.url, world.wire.protocol], [dialled, 'tautline.v1.msgpack']);
  });
}
