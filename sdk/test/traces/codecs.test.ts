/**
 * The codec for msgpack says what the one in Rust says: of packets of every kind, both ways, and of bytes that nobody should
 * send. `npm run test:traces` runs it, and `CODEC` names the other one (`cargo build -p tautline-protocol --example codec`).
 *
 * `PACKETS=200000` takes longer and sees more; `TAUTLINE_SEED` is in every failure, and makes it come again.
 */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { decode, encode } from '../../src/msgpack.js';

const PACKETS = Number(process.env['PACKETS'] ?? 4000);
const SEED = Number(process.env['TAUTLINE_SEED'] ?? Date.now() % 4294967296);
/** What is nested more deeply, Rust sends as text, and takes from nobody. */
const DEPTH_MAX = 64;

type Dice = (sides: number) => number;

/** A small generator, so that a failure comes again: `seed` is that of one packet. */
function dice(seed: number): Dice {
  return (sides) => {
    seed = (seed + 0x6d2b79f5) | 0;
    let z = Math.imul(seed ^ (seed >>> 15), seed | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return Math.floor((((z ^ (z >>> 14)) >>> 0) / 4294967296) * sides);
  };
}

/** The other codec. It answers in order. */
class Rust {
  private readonly questions: Buffer[] = [];

  /** Gives where its answer will be. */
  ask(kind: 'j' | 'm', message: string | ArrayBuffer): number {
    const bytes = typeof message === 'string' ? Buffer.from(message) : Buffer.from(message);
    const head = Buffer.alloc(5);
    head.write(kind);
    head.writeUInt32BE(bytes.length, 1);
    return this.questions.push(head, bytes) / 2 - 1;
  }

  async answers(): Promise<Buffer[]> {
    const program = process.env['CODEC'];
    assert.ok(
      program,
      'CODEC names the program that speaks msgpack in Rust: `cargo xtask test --only traces` knows it',
    );
    const codec = spawn(program, { stdio: ['pipe', 'pipe', 'inherit'] });
    const ended = once(codec, 'exit');
    const chunks: Buffer[] = [];
    codec.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
    codec.stdin.end(Buffer.concat(this.questions));
    await once(codec.stdout, 'end');
    assert.deepEqual(await ended, [0, null], 'the codec in Rust did not come to its end');
    const all = Buffer.concat(chunks);
    const answers: Buffer[] = [];
    for (let at = 0; at < all.length;) {
      const length = all.readUInt32BE(at);
      answers.push(all.subarray(at + 4, at + 4 + length));
      at += 4 + length;
    }
    assert.equal(answers.length, this.questions.length / 2);
    return answers;
  }
}

const PIECES = [
  'a',
  '"',
  '\\',
  '\n',
  '\u0001',
  '%',
  'é',
  '世',
  '😀',
  '/',
  '\u2028',
  '__proto__',
  '\ud800',
  '\udfff',
  '$bin',
  '',
];

function text(roll: Dice): string {
  const most = [3, 12, 40, roll(20) ? 5 : 300][roll(4)]!;
  return Array.from({ length: roll(most) }, () => PIECES[roll(PIECES.length)]).join('');
}

/** Any value that json has, with a liking for where a length or a number takes one more byte. */
function anything(roll: Dice, depth: number): unknown {
  const near = Math.pow(2, [5, 7, 8, 15, 16, 31, 32, 52, 53, 63, 64, 70][roll(12)]!) + roll(5) - 2;
  switch (roll(depth ? 11 : 9)) {
    case 0:
      return null;
    case 1:
      return roll(2) === 0;
    case 2:
      return near;
    case 3:
      return -near;
    case 4:
      return roll(4294967296) * Math.pow(2, roll(33)) + roll(4294967296);
    case 5:
      return (roll(4294967296) - 2147483648) * Math.pow(2, roll(200) - 100);
    case 6:
      return text(roll);
    case 7:
      return {
        $bin: Buffer.from(
          Array.from({ length: roll(roll(20) ? 8 : roll(50) ? 300 : 70000) }, () => roll(256)),
        ).toString('base64'),
      };
    case 8:
      // Nearly base64, or exactly.
      return { $bin: Array.from({ length: roll(9) }, () => 'AQZz09+/=- '[roll(11)]).join('') };
    case 9:
      return Array.from({ length: roll(roll(8) ? 4 : 20) }, () => anything(roll, depth - 1));
    default: {
      const object = Object.create(null) as Record<string, unknown>;
      for (let left = roll(roll(8) ? 3 : 20); left; left--) object[text(roll)] = anything(roll, depth - 1);
      return object;
    }
  }
}

function packet(roll: Dice): string {
  let data = anything(roll, 3);
  // Up to what Rust takes: the packet, the verb's body and the value are three of it.
  for (let deep = roll(20) ? 0 : roll(DEPTH_MAX - 8); deep; deep--) data = roll(2) ? [data] : { deep: data };
  return JSON.stringify({ id: roll(1000), publish: { channel: text(roll), data } });
}

/** Bytes that may be msgpack: a message that was damaged, or nothing but noise behind a head that is. */
function hostile(roll: Dice): ArrayBuffer {
  const bytes = roll(3)
    ? new Uint8Array(encode(packet(roll).slice(0, 2000).length < 2000 ? packet(roll) : '{"ping":{}}'))
    : Uint8Array.from({ length: roll(60) }, (_, at) =>
        at ? [roll(256), 0x80 + roll(96), 0xc0 + roll(32)][roll(3)]! : 0x80 + roll(4),
      );
  for (let hits = roll(4); hits; hits--) bytes[roll(bytes.length)] = [roll(256), 0xc0 + roll(32)][roll(2)]!;
  return bytes.slice(0, roll(3) ? bytes.length : roll(bytes.length + 1)).buffer;
}

/** A number that json has no two ways to say, and what is nobody's concern: whether zero is a negative one. */
function plain(line: string): string {
  return JSON.stringify(JSON.parse(line));
}

/** Lines as packets, up to the first that is none, for which `?` stands. */
function packets(lines: string): string[] {
  const read: string[] = [];
  for (const line of lines.split('\n').filter((one) => one)) {
    // Rust ends with a line whose `id` is words, and replaces what json cannot say by words; the SDK ends with `?`, or goes on
    // to a line that is no object, where its session ends.
    const refused =
      line[0] !== '{' ||
      /"id":"(msgpack that|the byte) [^"]*"\}$/.test(line) ||
      line.includes(' has no json form"');
    read.push(refused ? '?' : plain(line));
    if (refused) break;
  }
  return read;
}

/** A seed for each packet, so that one that fails is soon found again. */
const seedOf = (round: number): number => (SEED + round) % 4294967296;
const named = (round: number): string => `TAUTLINE_SEED=${seedOf(round)} PACKETS=1`;

test('packets are the same in both, and arrive the same in each direction', async () => {
  const rust = new Rust();
  const lines = Array.from({ length: PACKETS }, (_, round) => packet(dice(seedOf(round))));
  const asked = lines.map((line) => [rust.ask('m', encode(line)), rust.ask('j', line)] as const);
  const answers = await rust.answers();
  let exact = 0;
  asked.forEach(([fromHere, fromRust], round) => {
    const line = lines[round]!;
    const here = encode(line);
    const there = answers[fromRust]!;
    const read = packets(decode(new Uint8Array(there).buffer));
    assert.deepEqual(packets(answers[fromHere]!.toString()), read, `${named(round)}: ${line}`);
    assert.deepEqual(packets(decode(here)), read, `${named(round)}: ${line}`);
    // Without halves of pairs, which no UTF-8 has, it is what was sent.
    if (!/\\u[dD][89a-fA-F]/.test(line)) assert.deepEqual(read, [plain(line)], named(round));
    if (Buffer.from(here).equals(there)) exact++;
  });
  console.log(`${PACKETS} packets from TAUTLINE_SEED=${SEED}, ${exact} of them the same to the byte`);
  // The others hold a whole number beyond 2^53, for which a phone has only floats.
  assert.ok(PACKETS < 100 || exact > PACKETS / 4);
});

test('what is nested too deeply for msgpack comes as text, and is read', async () => {
  const rust = new Rust();
  const asked = Array.from({ length: 40 }, (_, more) => {
    const deep = DEPTH_MAX - 20 + more;
    return rust.ask('j', `{"pub":{"data":${'['.repeat(deep)}7${']'.repeat(deep)}}}`);
  });
  const answers = await rust.answers();
  for (const at of asked) {
    const [line, ...more] = packets(decode(new Uint8Array(answers[at]!).buffer));
    assert.ok(line && line !== '?' && !more.length, `asked ${at}`);
    assert.equal(
      (JSON.stringify(JSON.parse(line)).replace(/\\"/g, '"').match(/\[/g) ?? []).length,
      DEPTH_MAX - 20 + at,
    );
  }
});

test('whatever bytes come, one refuses what the other refuses, and both read what is before it', async () => {
  const rust = new Rust();
  const messages = Array.from({ length: PACKETS }, (_, round) => hostile(dice(~seedOf(round))));
  const asked = messages.map((message) => rust.ask('m', message));
  const answers = await rust.answers();
  let refused = 0;
  messages.forEach((message, round) => {
    const there = packets(answers[asked[round]!]!.toString());
    assert.deepEqual(
      packets(decode(message)),
      there,
      `${named(round)}: ${Buffer.from(message).toString('hex')}`,
    );
    if (there.includes('?')) refused++;
  });
  console.log(`${PACKETS} messages from TAUTLINE_SEED=${SEED}, ${refused} of them refused`);
  assert.ok(PACKETS < 100 || (refused > PACKETS / 4 && refused < PACKETS * 0.9));
});
