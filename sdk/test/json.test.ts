/** The app's own JSON: 64 bits arrive and leave whole, and whatever it does, the line goes on. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { customJson, type JsonLike } from '../src/json.js';
import { storage, type RestoredRequest } from '../src/storage.js';
import { Tautline } from '../src/index.js';
import type { TautlineError } from '../src/error.js';
import { lined } from './fakes/lined.js';

const JSONbig = (require('json-bigint') as (options: object) => JsonLike)({ useNativeBigInt: true });
const lossless = require('lossless-json') as JsonLike;

const ID = 9_007_199_254_740_993n;

/** What the line has sent, as text. */
function said(world: { wire: { received(text: string): void } }): (text: string) => void {
  return (text) => world.wire.received(text);
}

async function begun(json: JsonLike) {
  const { line, world } = await lined({ format: customJson(json) });
  const errors: unknown[] = [];
  const seen: unknown[] = [];
  const texts: string[] = [];
  const { receive } = world.gateway;
  world.gateway.receive = (end, text, now) => {
    texts.push(text);
    receive.call(world.gateway, end, text, now);
  };
  line.on('error', (error) => errors.push(error));
  line.subscribe('room:7', { onPublication: ({ data }) => seen.push(data) });
  await world.advance(100);
  /** A publication as a back end in Java sends it. */
  const publication = (offset: number, data: string): void =>
    said(world)(`{"pub":{"channel":"room:7","epoch":"k1","offset":${offset},"at":1,"data":${data}}}`);
  return { line, world, errors, seen, texts, publication };
}

test('an id of 64 bits in a publication arrives whole, by json-bigint and by lossless-json', async () => {
  const big = await begun(JSONbig);
  big.publication(1, `{"id":${ID},"n":1}`);
  assert.deepEqual(big.seen, [{ __proto__: null, id: ID, n: 1 }]);
  const less = await begun(lossless);
  less.publication(1, `{"id":${ID}}`);
  assert.equal(lossless.stringify(less.seen[0]), `{"id":${ID}}`);
  assert.deepEqual([...big.errors, ...less.errors], []);
});

test('an id of 64 bits leaves whole, in a publication and in a call', async () => {
  const { line, world, texts } = await begun(JSONbig);
  void line.publish('room:7', { id: ID });
  void line.call('find', [ID]).catch(() => {});
  void line.call('echo').catch(() => {});
  await world.advance(100);
  assert.match(texts.join('\n'), new RegExp(`"publish":\\{"channel":"room:7","data":\\{"id":${ID}\\}\\}`));
  assert.match(texts.join('\n'), new RegExp(`"call":\\{"method":"find","data":\\[${ID}\\]\\}`));
  assert.match(texts.join('\n'), /"call":\{"method":"echo"\}/);
});

test('an answer, and each publication of a page of the past, has its payload whole', async () => {
  const { line, world } = await begun(JSONbig);
  world.gateway.deaf.add('call');
  world.gateway.deaf.add('history');
  const answer = line.call('find');
  const page = line.history('room:7');
  await world.advance(100);
  said(world)(`{"id":2,"ok":{"data":${ID}}}`);
  said(world)(
    `{"id":3,"ok":{"epoch":"k1","publications":[{"offset":1,"at":1,"data":1},{"offset":2,"at":2,"data":{"id":${ID}}}],"more":false}}`,
  );
  await world.advance(100);
  assert.equal(await answer, ID);
  assert.deepEqual(
    (await page).publications.map(({ data }) => data),
    [1, { __proto__: null, id: ID }],
  );
});

test('a channel called data, and numbers of the packet itself, stay those of the line', async () => {
  const { line, world, errors } = await begun({
    parse: () => ({ pub: { offset: 'x', data: 5 } }),
    stringify: JSON.stringify,
  });
  const seen: unknown[] = [];
  line.subscribe('data', { onPublication: ({ offset, data }) => seen.push([offset, data]) });
  await world.advance(100);
  said(world)('{"pub":{"channel":"data","epoch":"k1","offset":1,"at":1,"data":1}}');
  world.cut();
  await world.advance(1_000);
  assert.deepEqual(seen, [[1, 5]]);
  assert.equal(line.state, 'online');
  assert.deepEqual(errors, []);
});

for (const [what, parse] of [
  [
    'throws',
    () => {
      throw new Error('of the app');
    },
  ],
  [
    'throws nothing',
    () => {
      throw undefined;
    },
  ],
  ['gives nothing', () => undefined],
  ['gives a text', () => 'x'],
  ['gives another shape', () => ({ pub: new Map([['data', 1]]) })],
  ['gives a list', () => [{ pub: { data: 1 } }]],
  [
    'gives what throws when it is read',
    () => ({
      get pub(): unknown {
        throw new Error('of a getter');
      },
    }),
  ],
] as [string, () => unknown][]) {
  test(`a parser that ${what} is told, its payload is as JSON.parse has it, and the line goes on`, async () => {
    const { line, world, errors, seen, publication } = await begun({ parse, stringify: JSON.stringify });
    publication(1, '{"n":1}');
    publication(2, '2');
    await world.advance(100);
    assert.deepEqual(seen, [{ n: 1 }, 2]);
    assert.equal(errors.length, 2);
    assert.equal(line.state, 'online');
    assert.equal(world.wires.length, 1);
  });
}

test('a parser that closes the line, and an error handler that does, end it in order', async () => {
  const { line, world, errors, publication } = await begun({
    parse: () => assert.fail('told'),
    stringify: JSON.stringify,
  });
  line.on('error', () => line.close());
  publication(1, '1');
  await world.advance(100);
  assert.equal(errors.length, 1);
  assert.equal(line.state, 'closed');
});

for (const [what, stringify] of [
  [
    'throws',
    () => {
      throw new Error('of the app');
    },
  ],
  [
    'throws nothing',
    () => {
      throw null;
    },
  ],
  [
    'throws with a code of its own',
    () => {
      throw Object.assign(new Error('x'), { code: 'ERR_OF_THE_APP' });
    },
  ],
  ['gives no JSON', () => '{'],
  ['gives the end of a packet', () => '1}}\n{"bye":{}}'],
  ['gives a number', () => 5 as unknown as string],
  ['gives an object', () => ({}) as unknown as string],
] as [string, () => string][]) {
  test(`a writer that ${what} rejects that request alone`, async () => {
    const { line, world, errors } = await begun({ parse: JSON.parse, stringify });
    const failed = line.publish('room:7', 1).then(
      () => assert.fail('sent'),
      (error: TautlineError) => error,
    );
    const fine = line.call('echo');
    await world.advance(100);
    assert.equal((await failed).code, 'bad_data');
    assert.equal((await failed).name, 'TautlineError');
    await fine;
    assert.deepEqual([errors, line.state, world.wires.length], [[], 'online', 1]);
  });
}

test('a writer that breaks lines, or has no word for a value, leaves one packet', async () => {
  const { line, world, texts } = await begun({
    parse: JSON.parse,
    stringify: (value) => JSON.stringify(value, null, 2),
  });
  await Promise.all([
    line.publish('room:7', { text: 'a\nb', list: [1] }),
    line.call('echo', () => {}),
    world.advance(100),
  ]);
  const packets = texts
    .join('\n')
    .split('\n')
    .filter((text) => text)
    .map((text) => JSON.parse(text) as { publish?: object; call?: object });
  assert.deepEqual(
    packets.flatMap(({ publish, call }) => publish ?? call ?? []),
    [{ channel: 'room:7', data: { text: 'a\nb', list: [1] } }, { method: 'echo' }],
  );
});

test('what waits on the device is sent by the next app with all its digits, and shown with them', async () => {
  const { world } = await lined();
  const texts = new Map<string, string>();
  const device = {
    get: (key: string) => texts.get(key),
    set: (key: string, text: string) => void texts.set(key, text),
    remove: (key: string) => void texts.delete(key),
  };
  const restored: RestoredRequest[] = [];
  const start = () => {
    const kept = storage({ device, onRestored: (requests) => restored.push(...requests) });
    return new Tautline({
      url: 'ws://a.example/connect',
      host: world,
      storage: kept,
      format: customJson(JSONbig),
    });
  };
  world.unreachable = true;
  start()
    .publish('room:7', { id: ID })
    .catch(() => {});
  await world.advance(100);
  world.unreachable = false;
  const sent: string[] = [];
  const { receive } = world.gateway;
  world.gateway.receive = (end, text, now) => {
    sent.push(text);
    receive.call(world.gateway, end, text, now);
  };
  start();
  await world.advance(1_000);
  assert.deepEqual(restored, [
    { verb: 'publish', body: { channel: 'room:7', data: { __proto__: null, id: ID } } },
  ]);
  assert.match(sent.join(''), new RegExp(`"data":\\{"id":${ID}\\}`));
});

test('what is stored of payloads with many quotes stays within its bound', async () => {
  const { world } = await lined();
  world.unreachable = true;
  let longest = 0;
  const device = {
    get: () => longest && stored,
    set: (_key: string, text: string) => {
      stored = text;
      longest = Math.max(longest, text.length);
    },
    remove() {},
  };
  let stored = '';
  const kept = storage({ device, store_bytes_max: 8_192 });
  const line = new Tautline({
    url: 'ws://a.example/connect',
    host: world,
    storage: kept,
    format: customJson(JSONbig),
  });
  for (let i = 0; i < 20; i++)
    line
      .publish(
        'room:7',
        Array.from({ length: 200 }, () => ''),
      )
      .catch(() => {});
  await world.advance(2_000);
  assert.ok(longest > 4_096 && longest <= 8_192, `${longest} bytes`);
  line.close();
});

test('a parser and a writer that are methods keep what they belong to', async () => {
  class Mine {
    readonly id = ID;
    parse(): unknown {
      return { pub: { data: this.id } };
    }
    stringify(): string {
      return `"${this.id}"`;
    }
  }
  const { line, world, seen, texts, publication } = await begun(new Mine());
  publication(1, '1');
  void line.publish('room:7', 2);
  await world.advance(100);
  assert.equal(seen[0], ID);
  assert.match(texts.join(''), new RegExp(`"data":"${ID}"`));
});

test('what is no pair of parser and writer is refused when it is made', () => {
  for (const wrong of [
    {},
    { parse: JSON.parse },
    { stringify: JSON.stringify },
    { parse: 1, stringify: 2 },
  ]) {
    assert.throws(() => customJson(wrong as unknown as JsonLike), /parse, stringify/);
  }
});

test('a toJSON that throws nothing, or an error with a code, rejects with a TautlineError', async () => {
  const { line } = await lined();
  for (const thrown of [undefined, null, Object.assign(new Error('x'), { code: 'E' }), { code: 'F' }]) {
    const error = await line
      .publish('room:7', {
        toJSON() {
          throw thrown;
        },
      })
      .then(
        () => assert.fail('sent'),
        (it: TautlineError) => it,
      );
    assert.equal(error.code, 'bad_data');
  }
});
