/** What the Alipay host makes of each thing in which Alipay is itself. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { alipayHost } from '../src/hosts/alipay.js';
import { base64, fromBase64, toBase64 } from '../src/hosts/base64.js';
import type { Fact } from '../src/host.js';
import { type AlipayTask, FakeAlipay } from './fakes/alipay.js';
import { heard } from './fakes/heard.js';

function dialled(my = new FakeAlipay()) {
  const { seen, tell } = heard();
  const facts: Fact[] = [];
  const socket = alipayHost(my).dial(
    'wss://a.example/connect',
    'tautline.v1.json',
    1,
    (fact) => {
      facts.push(fact);
      tell(fact);
    },
    undefined,
    base64,
  );
  return { my, socket, seen, facts, task: my.task as AlipayTask };
}

const bytes = (...list: number[]): ArrayBuffer => Uint8Array.from(list).buffer;

test('sockets are asked for in the plural, or there would be one for the whole app', () => {
  const { task } = dialled();
  assert.equal(task.connect.multiple, true);
});

test('bytes come as base64 or as they are, and are bytes both times', () => {
  for (const data of ['AP+A', bytes(0, 255, 128)]) {
    const { task, facts } = dialled();
    task.receivesBytes(data);
    const [fact] = facts;
    assert.deepEqual(fact?.type === 'socket_message' && fact.data, bytes(0, 255, 128));
  }
});

test('bytes are sent as base64 and marked, text is not', () => {
  const { task, socket } = dialled();
  socket.send('{}');
  socket.send(bytes(0, 255, 128));
  assert.deepEqual(task.packed, [
    { data: '{}', isBuffer: undefined },
    { data: 'AP+A', isBuffer: true },
  ]);
});

test('bytes that nobody asked for are told as they came, and are no packet', () => {
  const my = new FakeAlipay();
  const facts: Fact[] = [];
  alipayHost(my).dial('wss://a.example/connect', 'tautline.v1.json', 1, (fact) => facts.push(fact));
  (my.task as AlipayTask).receivesBytes('AP+A');
  const [{ event, ...fact }] = facts as [Fact & { event: unknown }];
  assert.deepEqual(fact, { type: 'socket_message', socket: 1, text: 'AP+A', data: 'AP+A' });
  assert.ok(event, 'with the event as the host gave it');
});

test('base64 goes there and back at every length', () => {
  for (let length = 0; length < 50; length++) {
    const some = Uint8Array.from({ length }, (_, i) => (i * 89 + length * 31) & 255);
    const text = toBase64(some.buffer);
    assert.equal(text, Buffer.from(some).toString('base64'));
    assert.deepEqual(new Uint8Array(fromBase64(text)), some);
  }
});

test('a close without code or reason is a close', () => {
  const { task, seen } = dialled();
  task.opens();
  task.closesWith();
  assert.deepEqual(seen[1], { code: undefined, reason: '', cause: undefined });
});

test('the numbers of its errors are understood, with the words kept beside them', () => {
  const meanings: [number, string][] = [
    [3, 'slots_exhausted'],
    [4, 'refused'],
    [6, 'connect_timeout'],
    [7, 'tls_failed'],
    [9, 'protocol_error'],
    [11, 'network_lost'],
    [8, 'refused'],
    [20, 'refused'],
    [50, 'network_lost'],
  ];
  for (const [error, cause] of meanings) {
    const { task, seen } = dialled();
    task.fails(error, 'a sentence');
    assert.deepEqual(seen, [{ code: undefined, reason: 'a sentence', cause }]);
  }
});

test('the number 2, which means different things, is read by its words', () => {
  for (const [words, cause] of [
    ['网络连接已经存在。', 'slots_exhausted'],
    ['A network connection already exists.', 'slots_exhausted'],
    ['接口参数无效。', undefined],
  ] as const) {
    const { task, seen } = dialled();
    task.fails(2, words);
    assert.deepEqual(seen, [{ code: undefined, reason: words, cause }]);
  }
});

test('an error event with a number and no words has its cause, and the number as its reason', () => {
  const { task, seen } = dialled();
  task.opens();
  task.errsWith(11);
  assert.deepEqual(seen[1], { code: undefined, reason: '11', cause: 'network_lost', held: true });
});

test('its networks are in capitals, and NOTREACHABLE is none', () => {
  const my = new FakeAlipay();
  const { seen, tell } = heard();
  alipayHost(my).watch(tell);
  my.emit('NetworkStatusChange', { isConnected: true, networkType: 'NOTREACHABLE' });
  my.emit('NetworkStatusChange', { isConnected: false, networkType: 'UNKNOWN' });
  my.emit('NetworkStatusChange', { isConnected: true, networkType: 'WWAN' });
  assert.deepEqual(seen, [
    [true, 'WIFI'],
    [false, 'NOTREACHABLE'],
    [false, 'UNKNOWN'],
    [true, 'WWAN'],
  ]);
});
