/** The small pure parts: addresses, search, long lists, logs, packets, traces. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { appended, recalledOffsets } from '../src/lib/log.ts';
import { kindsOf, readable } from '../src/lib/packets.ts';
import { parseData } from '../src/lib/payload.ts';
import { href, parseRoute } from '../src/lib/route.ts';
import { isSessionId, queryOf } from '../src/lib/search.ts';
import { ENTRIES_MAX, bounded, entryOf } from '../src/lib/trace.ts';
import { nearsEnd, windowOf } from '../src/lib/window.ts';
import type { Publication } from '../src/lib/types.ts';

const publications = (from: number, to: number): Publication[] =>
  Array.from({ length: to - from + 1 }, (_, index) => ({ offset: from + index, at: 0, data: null }));
const offsets = (log: Publication[]) => log.map(({ offset }) => offset);

test('address of a screen survives any name', () => {
  for (const name of ['ann', 'a/b?c&d=e#f', '<img src=x>', '%', '小明', 'user:42'])
    assert.deepEqual(parseRoute(href('users', name, { session: name })), {
      screen: 'users',
      subject: name,
      query: { session: name },
    });
  assert.equal(parseRoute('#/nowhere').screen, 'overview');
  assert.equal(parseRoute('').screen, 'overview');
  assert.equal(parseRoute('#/users/%E0%A4%A').subject, '%E0%A4%A');
});

test('search is put as the API takes it', () => {
  assert.deepEqual(queryOf({ who: ' ann ', label: 'team=kitchen', state: 'parked', sdk: '' }), {
    user: 'ann',
    label: 'team:kitchen',
    is_connected: 'false',
  });
  assert.equal(isSessionId('q3bkwRUVQkq0sJv0p2d1Nw'), true);
  assert.equal(isSessionId('q3bkwRUVQkq0sJv0p2d1N1'), false);
});

test('window holds the rows in sight and a few beside', () => {
  const window = windowOf(100_000, 40, 2_000_000, 600);
  assert.ok(window.first <= 50_000 && window.end >= 50_015 && window.end - window.first < 50);
  assert.equal(window.abovePx + window.belowPx + (window.end - window.first) * 40, 4_000_000);
  const behind = windowOf(3, 40, 2_000_000, 600);
  assert.ok(behind.first <= 2 && behind.end === 3);
  assert.deepEqual(windowOf(0, 40, 0, 600), { first: 0, end: 0, abovePx: 0, belowPx: 0 });
  assert.equal(nearsEnd(200, 40, 0, 600), false);
  assert.equal(nearsEnd(200, 40, 7_000, 600), true);
});

test('log goes on without holes', () => {
  assert.deepEqual(offsets(appended(publications(1, 3), publications(2, 5))), [1, 2, 3, 4, 5]);
  const known = publications(1, 3);
  assert.equal(appended(known, publications(1, 3)), known);
  assert.deepEqual(offsets(appended(known, publications(7, 9))), [7, 8, 9]);
});

test('recall of another epoch recalls nothing', () => {
  const recall = (epoch: string, offset: number) => ({
    offset: 9,
    at: 0,
    data: { $recall: { epoch, offset } },
  });
  assert.deepEqual([...recalledOffsets([recall('k3', 2), recall('k1', 3)], 'k3')], [2]);
  assert.deepEqual([...recalledOffsets([{ offset: 1, at: 0, data: { $recall: 'all' } }], 'k3')], []);
});

test('packets are named by their verb and keep no secret', () => {
  const hello =
    '{"hello":{"v":1,"auth":{"token":"eyJhbGciOiJIUzI1NiJ9.x.y"},"resume":{"ticket":"AbCdEfGhIjKlMnOpQrSt"}}}';
  assert.deepEqual(kindsOf(`${hello}\n{"id":4,"seen":3,"publish":{}}\nno json`), ['hello', 'publish', '?']);
  assert.equal(readable(hello), '{"hello":{"v":1,"auth":{"token":"•••"},"resume":{"ticket":"•••"}}}');
  assert.equal(readable('{"bye":{"code":"kicked"}}'), '{"bye":{"code":"kicked"}}');
});

test('payload that is no JSON is text', () => {
  assert.deepEqual(['{"a":1}', '7', 'hello', '{'].map(parseData), [{ a: 1 }, 7, 'hello', '{']);
});

test('trace shows members that it does not know', () => {
  const entry = entryOf(
    { at: 5, way: 'in', packet: 'publish', bytes: 42, channel: 'room:7', new: { a: 1 } },
    3,
    9,
  );
  assert.deepEqual(entry, {
    id: 3,
    at: 5,
    way: 'out',
    title: 'publish',
    text: 'channel=room:7 new={"a":1}',
    isHeld: false,
    bytes: 42,
  });
  assert.equal(entryOf('odd', 1, 9).text, 'data=odd');
});

test('list of packets is bounded, the newest first', () => {
  let list: number[] = [];
  for (let n = 0; n < ENTRIES_MAX + 3; n++) list = bounded(list, n);
  assert.equal(list.length, ENTRIES_MAX);
  assert.equal(list[0], ENTRIES_MAX + 2);
});
