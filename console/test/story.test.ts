/** A user's story: spans, marks, details. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { detailsOf, groupOf, lanes, merged, toneOf } from '../src/lib/story.ts';
import type { StoryEntry } from '../src/lib/types.ts';

let ids = 0;
const entry = (
  at: number,
  kind: string,
  detail: Record<string, unknown> = {},
  session = 's1',
): StoryEntry => ({
  id: ++ids,
  at,
  kind,
  detail,
  session,
});
const newestFirst = (...entries: StoryEntry[]) => entries.reverse();

test('drop and resume make a span offline between two online', () => {
  const story = newestFirst(
    entry(10, 'opened'),
    entry(20, 'drop', { cause: 'background' }),
    entry(25, 'resumed', { offline_ms: 5 }),
    entry(40, 'closed'),
  );
  const [lane] = lanes(story, 100);
  assert.deepEqual(lane?.spans, [
    { from: 10, to: 20, isOnline: true, cause: 'background' },
    { from: 20, to: 25, isOnline: false },
    { from: 25, to: 40, isOnline: true },
  ]);
  assert.deepEqual(lane.marks, [{ at: 20, tone: 'bad', kind: 'drop' }]);
});

test('away and its drop are one span offline', () => {
  const [lane] = lanes(
    newestFirst(entry(10, 'opened'), entry(20, 'away'), entry(22, 'drop', { cause: 'unknown' })),
    30,
  );
  assert.deepEqual(
    lane?.spans.map(({ from, to, isOnline }) => [from, to, isOnline]),
    [
      [10, 20, true],
      [20, 30, false],
    ],
  );
});

test('drop is marked where it was, not where it was told', () => {
  const told = entry(60, 'drop', { cause: 'network_lost', offline_ms: 35 });
  const [lane] = lanes(newestFirst(entry(10, 'opened'), told, entry(60, 'resumed')), 70);
  assert.deepEqual(
    lane?.spans.map(({ from, to, isOnline }) => [from, to, isOnline]),
    [
      [10, 25, true],
      [25, 60, false],
      [60, 70, true],
    ],
  );
  assert.equal(lane.marks[0]?.at, 25);
});

test('story that was cut off begins before its first resume', () => {
  const [lane] = lanes(newestFirst(entry(50, 'resumed', { offline_ms: 20 })), 60);
  assert.deepEqual(lane?.spans, [
    { from: 30, to: 50, isOnline: false },
    { from: 50, to: 60, isOnline: true },
  ]);
});

test('sessions have lanes of their own, the latest first', () => {
  const story = newestFirst(entry(10, 'opened'), entry(20, 'opened', {}, 's2'), entry(30, 'login', {}, 's3'));
  assert.deepEqual(
    lanes(story, 40).map(({ session }) => session),
    ['s2', 's1'],
  );
});

test('pages overlap and each entry is shown once', () => {
  const [one, two, three] = [entry(1, 'dial'), entry(2, 'opened'), entry(3, 'drop')];
  assert.deepEqual(
    merged([two, one], [three, two]).map(({ id }) => id),
    [three.id, two.id, one.id],
  );
});

test('kind of a later version is shown with the lines', () => {
  assert.equal(groupOf('teleported'), 'line');
  assert.equal(toneOf(entry(1, 'teleported')), 'quiet');
  assert.equal(toneOf(entry(1, 'call', { error: 'timeout' })), 'bad');
});

test('cause comes first and an outcome that repeats the kind is left out', () => {
  const details = detailsOf(
    entry(1, 'resumed', { sdk: 'x', ms: 4, outcome: 'resumed', code: null, cause: 'background' }),
  );
  assert.deepEqual(details, [
    ['cause', 'background'],
    ['ms', 4],
    ['sdk', 'x'],
  ]);
});
