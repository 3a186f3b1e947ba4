/** Msgpack by hand: the vectors that Rust runs too, and whatever a generator thinks of. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { lined } from './fakes/lined.js';
import { decode, encode, json, msgpack } from '../src/msgpack.js';

interface Row {
  name: string;
  msgpack: string;
  lines: string[];
}
const VECTORS: { [section: string]: Row[] } = JSON.parse(
  readFileSync(resolve(__dirname, '../../../../spec/vectors/msgpack.json'), 'utf8'),
);

const hex = (bytes: ArrayBuffer) => Buffer.from(bytes).toString('hex');
const bytes = (text: string) => new Uint8Array(Buffer.from(text, 'hex')).buffer as ArrayBuffer;
const read = (message: string) =>
  decode(bytes(message))
    .split('\n')
    .filter((line) => line);
const values = (lines: string[]) => lines.map((line) => JSON.parse(line));

test('what both formats say is the same in each', () => {
  for (const { name, msgpack, lines } of VECTORS['same']!) {
    assert.deepEqual(values(read(msgpack)), values(lines), name);
    assert.equal(hex(encode(lines.join('\n'))), msgpack, name);
  }
});

test('msgpack that could be shorter is read all the same', () => {
  for (const { name, msgpack, lines } of VECTORS['read']!)
    assert.deepEqual(values(read(msgpack)), values(lines), name);
});

test('what is before the broken packet is read, and what is broken is no packet', () => {
  for (const { name, msgpack, lines } of VECTORS['broken']!) {
    const all = read(msgpack);
    const broken = all[lines.length]!;
    assert.deepEqual(values(all.slice(0, lines.length)), values(lines), name);
    assert.ok(
      broken === '?' || Array.isArray(JSON.parse(broken)) || typeof JSON.parse(broken) !== 'object',
      name,
    );
  }
});

/** A small generator, so that a failure comes again. */
function dice(seed: number): (sides: number) => number {
  return (sides) => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 4294967296) * sides);
  };
}

const LETTERS = ['a', '"', '\\', '\n', '\u0001', '%', 'é', '世', '😀', '/', '\u2028', '__proto__'];

function anything(below: (sides: number) => number, depth: number): unknown {
  const text = () => Array.from({ length: below(40) }, () => LETTERS[below(LETTERS.length)]).join('');
  switch (below(depth ? 9 : 7)) {
    case 0:
      return null;
    case 1:
      return below(2) === 0;
    case 2:
      return below(4294967296) * Math.pow(2, below(21));
    case 3:
      return -1 - below(4294967296) * Math.pow(2, below(21));
    case 4:
      return (below(4294967296) - 2147483648) / Math.pow(2, below(60));
    case 5:
      return text();
    case 6:
      return { $bin: Buffer.from(Array.from({ length: below(300) }, () => below(256))).toString('base64') };
    case 7:
      return Array.from({ length: below(20) }, () => anything(below, depth - 1));
    default: {
      const object = Object.create(null);
      for (let left = below(20); left; left--) object[text()] = anything(below, depth - 1);
      return object;
    }
  }
}

test('whatever json says comes back from msgpack', () => {
  const below = dice(7);
  for (let round = 0; round < 1000; round++) {
    const line = JSON.stringify({ id: round, publish: { data: anything(below, 3) } });
    const back = decode(encode(line)).trim();
    assert.deepEqual(JSON.parse(back), JSON.parse(line));
  }
});

test('a message that is cut anywhere is no packet in the end', () => {
  const whole = hex(encode('{"id":7,"publish":{"channel":"a","data":[1.5,{"$bin":"AAEC"},"x",-300]}}'));
  for (let cut = 2; cut < whole.length; cut += 2)
    assert.deepEqual(read(whole.slice(0, cut)), ['?'], String(cut));
});

test('what json cannot say is no packet: no number, the infinities, keys that are no text', () => {
  for (const value of [
    'cb7ff8000000000000',
    'cb7ff0000000000000',
    'caff800000',
    '8107c0',
    '81c0c0',
    '8190c0',
    '81c40100c0',
  ]) {
    assert.deepEqual(read('81a161' + value), ['?'], value);
  }
});

test('whatever bytes come are lines', () => {
  const below = dice(3);
  for (let round = 0; round < 5000; round++) {
    const some = Uint8Array.from({ length: below(60) }, (_, at) => (at ? below(256) : 0x82));
    for (const line of decode(some.buffer).split('\n')) if (line && line !== '?') JSON.parse(line);
  }
});

test('half a pair of surrogates becomes U+FFFD, a whole pair stays', () => {
  assert.deepEqual(values(read(hex(encode('{"a":"\\ud800x\\udc00\\ud83d\\ude00"}')))), [
    { a: '\ufffdx\ufffd😀' },
  ]);
});

test('without a format bytes are refused rather than lost', async () => {
  const { line } = await lined();
  for (const photo of [
    new ArrayBuffer(3),
    new Uint8Array(3),
    new Float32Array(1),
    new DataView(new ArrayBuffer(1)),
    Buffer.from('abc'),
  ]) {
    await assert.rejects(line.publish('room:7', { photo }), { code: 'no_format' }, photo.constructor.name);
    await assert.rejects(line.call('echo', photo), { code: 'no_format' }, photo.constructor.name);
  }
});

test('bytes of every kind become the object that stands for them, and an ArrayBuffer again', () => {
  const three = new Uint8Array([1, 2, 3]);
  const kinds = [
    three.buffer,
    three,
    new Uint8Array([0, 1, 2, 3, 4]).subarray(1, 4),
    new DataView(three.buffer),
    Buffer.from(three),
  ];
  for (const format of [json, msgpack]) {
    for (const kind of kinds) {
      const line = JSON.stringify({ data: [kind] }, format.write_);
      assert.equal(line, '{"data":[{"$bin":"AQID"}]}');
      assert.deepEqual(JSON.parse(line, format.read_), { data: [three.buffer] });
    }
  }
  const others = '[{"$bin":"AQID","a":1},{"$bin":"AQI"},{"$bin":7},{"byteLength":3},{"$bin":"A!=="}]';
  assert.equal(JSON.stringify(JSON.parse(others, json.read_), json.write_), others);
});
