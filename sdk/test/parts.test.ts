/** The small parts that vectors express badly. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { utf8Length } from '../src/bytes.js';
import { detectHost } from '../src/hosts/detect.js';
import { randomFrom } from '../src/random.js';
import { Session } from '../src/session.js';
import type { Input } from '../src/types.js';
import { WORDS_EN, WORDS_ZH } from '../src/messages.js';
import { FakeWechat } from './fakes/wechat.js';

const WELCOME = {
  session: 's',
  ticket: 't',
  ping_ms: 25_000,
  pong_ms: 8_000,
  max_message_bytes: 65_536,
  now: 1,
  node: 'n',
  channels: {},
};
const BYES = ['server_restart', 'too_large', 'token_expired', 'kicked'];

test('the random numbers are those of the session in Rust', () => {
  const bits = (random: () => number) => random() * 4_294_967_296;
  const one = randomFrom(1);
  assert.deepEqual([bits(one), bits(one), bits(one)], [2_693_262_067, 11_749_833, 2_265_367_787]);
  const last = randomFrom(0xffff_ffff);
  assert.deepEqual([bits(last), bits(last)], [3_850_105_811, 813_802_916]);
});

test('text is measured in UTF-8', () => {
  for (const text of ['', 'plain', 'über', '微信小程序', 'a😀b', '\u07ff\u0800\uffff']) {
    assert.equal(utf8Length(text), Buffer.byteLength(text), text);
  }
});

test('every cause has its words, in both languages', () => {
  assert.deepEqual(Object.keys(WORDS_EN), Object.keys(WORDS_ZH));
  for (const words of [...Object.values(WORDS_EN), ...Object.values(WORDS_ZH)])
    assert.match(words, /[.?。]$/);
});

test('WeChat is recognised by its sockets; its pages inside a browser are a browser', () => {
  const global = globalThis as { wx?: unknown; WebSocket?: unknown };
  const { WebSocket } = global;
  try {
    global.WebSocket = class {};
    global.wx = { miniProgram: {} };
    assert.equal(detectHost()?.platform, 'browser');
    global.wx = new FakeWechat();
    assert.equal(detectHost()?.platform, 'wechat');
    delete global.wx;
    delete global.WebSocket;
    assert.equal(detectHost(), undefined);
  } finally {
    global.WebSocket = WebSocket;
  }
});

test('whatever happens in whatever order, every request settles exactly once', () => {
  for (let seed = 1; seed <= 500; seed++) {
    const random = randomFrom(seed);
    const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
    const session = new Session(
      { outbox_count_max: 5, outbox_full: pick(['reject', 'drop_oldest_volatile']) },
      seed,
    );
    const settled = new Map<number, number>();
    let mono = 0;
    let socket = 0;
    let requests = 0;
    const feed = (input: Input): void => {
      session.handleInput({ mono_ms: mono, wall_ms: mono }, input);
      for (let output = session.pollOutput(); output; output = session.pollOutput()) {
        if (output.type === 'dial') socket = output.socket;
        if (output.type === 'settled') settled.set(output.request, (settled.get(output.request) ?? 0) + 1);
      }
    };
    const message = (packet: object): Input => ({
      type: 'socket_message',
      socket,
      text: JSON.stringify(packet),
    });
    const steps: (() => Input)[] = [
      () => ({ type: 'connect' }),
      () => ({ type: 'auth', auth: { guest: true } }),
      () => ({ type: 'socket_open', socket }),
      () => message({ welcome: { ...WELCOME, resumed: random() < 0.5 } }),
      () => message({ id: 1 + Math.floor(random() * 8), ok: {} }),
      () => message({ bye: { code: pick(BYES), message: '', reconnect: pick(['now', 'later', 'never']) } }),
      () => ({ type: 'socket_closed', socket, code: 1006 }),
      () => {
        const verb = pick(['publish', 'call', 'history', 'presence'] as const);
        return {
          type: 'request',
          request: ++requests,
          verb,
          body: {},
          volatile: random() < 0.5,
          ttl_ms: 5_000,
        };
      },
      () => ({ type: 'cancel', request: 1 + Math.floor(random() * requests) }),
      () => ({ type: pick(['show', 'hide']) }),
      () => ({ type: 'network', online: random() < 0.7 }),
      () => ({ type: 'timeout' }),
    ];
    for (let step = 0; step < 200; step++) {
      mono += Math.floor(random() * 3_000);
      feed(pick(steps)());
    }
    feed({ type: 'close' });
    assert.equal(settled.size, requests, `seed ${seed}: every request is settled`);
    assert.ok(
      [...settled.values()].every((times) => times === 1),
      `seed ${seed}: and none twice`,
    );
  }
});
