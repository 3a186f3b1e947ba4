/** One socket for the whole app, whose events do not say whose they are. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { jdHost } from '../src/hosts/alikes.js';
import { alipayHost } from '../src/hosts/alipay.js';
import { OldAlipay } from './fakes/alipay.js';
import { FakeJd } from './fakes/global-socket.js';
import { heard } from './fakes/heard.js';

function twice() {
  const jd = new FakeJd();
  const host = jdHost(jd);
  const first = heard();
  const second = heard();
  const old = host.dial('wss://a.example/connect', undefined, 1, first.tell);
  jd.task.opens();
  return { jd, host, first, second, old, again: () => host.dial('wss://a.example/connect', undefined, 2, second.tell) };
}

test('jd: the line uses one socket at a time', () => {
  assert.equal(jdHost(new FakeJd()).slots, 1);
});

test('the end of the old socket that comes after the new dial is not the end of the new one', () => {
  const { jd, first, second, again } = twice();
  again();
  jd.emit('SocketClose', { code: 1006, reason: 'late' });
  jd.emit('SocketOpen', {});
  jd.emit('SocketMessage', { data: 'hello' });
  assert.deepEqual(first.seen, ['open', { code: 1006, reason: 'late', cause: undefined }]);
  assert.deepEqual(second.seen, ['open', 'hello']);
});

test('an end after the new one has opened is its own', () => {
  const { jd, first, second, again } = twice();
  again();
  jd.emit('SocketOpen', {});
  jd.emit('SocketClose', { code: 1006, reason: '' });
  assert.deepEqual(first.seen, ['open']);
  assert.equal(second.seen.length, 2);
});

test('a dial that fails after the old socket has ended is told of its own failure', () => {
  const { jd, second, again } = twice();
  jd.emit('SocketClose', { code: 1000, reason: '' });
  again();
  jd.emit('SocketClose', { code: 1006, reason: 'no route' });
  assert.deepEqual(second.seen, [{ code: 1006, reason: 'no route', cause: undefined }]);
});

test('whoever closes an old socket does not close the new one', () => {
  const { jd, old, again } = twice();
  again();
  old.close(1000, '');
  assert.deepEqual(jd.tasks.map((task) => task.closes.length), [0, 0]);
});

test('listeners that cannot be taken off are put on once, those that can are renewed', () => {
  const { jd, again } = twice();
  again();
  assert.equal(jd.listening('SocketMessage'), 1);
  const my = new OldAlipay();
  const host = alipayHost(my);
  host.dial('wss://a.example', undefined, 1, () => {});
  host.dial('wss://a.example', undefined, 2, () => {});
  assert.equal(my.listening('SocketMessage'), 1);
});
