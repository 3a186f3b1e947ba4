/** "Why did it drop?", answered from the last events, without a secret among them. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { debugRing, traceId } from '../src/debug.js';
import { lined } from './fakes/lined.js';

test('a drop can be read with what led to it', async () => {
  const ring = debugRing();
  const { world, line } = await lined({ trace: ring.trace });
  line.subscribe('room:7', {});
  await world.advance(100);
  world.cut();
  await world.advance(100);
  const lines = ring.print().split('\n');
  const find = (pattern: RegExp) => lines.findIndex((one) => pattern.test(one));
  const order = [
    find(/ dial socket=1$/),
    find(/ send socket=1 packets=hello$/),
    find(/ socket_message socket=1 packets=welcome$/),
    find(/ send socket=1 packets=subscribe 1 room:7$/),
    find(/ socket_closed socket=1 code=1006/),
    find(/ drop .*cause=unknown online=true/),
    find(/ dial socket=2$/),
  ];
  assert.deepEqual(
    order,
    [...order].sort((a, b) => a - b),
  );
  assert.ok(order[0]! >= 0, ring.print());
});

test('neither login, ticket, key nor what the app says is kept', async () => {
  const ring = debugRing();
  const { world, line, publish } = await lined({ trace: ring.trace, auth: { token: 'secret-token' } });
  line.subscribe('room:7', {});
  const answer = line.call('echo', { pin: 'secret-pin' });
  await world.advance(100);
  await answer;
  await publish('room:7', { text: 'secret-text' });
  world.cut();
  await world.advance(100);
  const kept = ring.print() + JSON.stringify(ring.events());
  for (const secret of ['secret-token', 'secret-pin', 'secret-text', 'ticket-1'])
    assert.ok(!kept.includes(secret), secret);
});

test('only the last events are kept, the oldest first', () => {
  const ring = debugRing(3);
  for (const channel of ['a', 'b', 'c', 'd', 'e']) ring.trace({ type: 'unsubscribe', channel });
  assert.deepEqual(
    ring.events().map(({ channel }) => channel),
    ['c', 'd', 'e'],
  );
});

test('a message of many packets is told in short', () => {
  const ring = debugRing();
  const text = Array.from({ length: 7 }, (_, i) => `{"id":${i},"ok":{}}\n`).join('');
  ring.trace({ type: 'socket_message', socket: 1, text });
  assert.match(ring.print(), /packets=ok 0, ok 1, ok 2, ok 3, ok 4, and 2 more$/);
});

test('of a size that is none, the usual number of events is kept', () => {
  for (const [size, kept] of [
    [NaN, 200],
    [0, 200],
    [-3, 200],
    ['5', 200],
    [2.5, 2],
  ] as [number, number][]) {
    const ring = debugRing(size);
    for (let i = 0; i < 300; i++) ring.trace({ type: 'timeout' });
    assert.equal(ring.events().length, kept, String(size));
  }
});

test('trace id is made of the session and the request', () => {
  assert.equal(traceId('ASNFZ4mrze8AAAAAAAAAAA', 7), '0123456789abcdef0000000000000007');
  assert.equal(traceId('__________________AAAA', 2 ** 53 - 1), 'ffffffffffffffff001fffffffffffff');
});

test('refused request has its trace id', () => {
  const ring = debugRing();
  ring.trace({
    type: 'welcome',
    session: 'ASNFZ4mrze8AAAAAAAAAAA',
    resumed: false,
    node: 'n1',
    now: 0,
    offline_ms: 0,
  });
  ring.trace({ type: 'socket_message', socket: 1, text: '{"id":7,"error":{"code":"internal"}}\n' });
  ring.trace({ type: 'socket_message', socket: 1, text: '{"id":8,"ok":{}}\n' });
  assert.deepEqual(
    ring.events().map((event) => event['trace']),
    [undefined, '0123456789abcdef0000000000000007', undefined],
  );
});
