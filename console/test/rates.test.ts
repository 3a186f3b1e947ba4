/** Rates and samples out of counters. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  SAMPLES_MAX,
  growth,
  push,
  ranked,
  rate,
  sampleOf,
  totalsOf,
  type Sample,
} from '../src/lib/rates.ts';
import type { Overview } from '../src/lib/types.ts';

const at = (at: number, publications: number, drops = 0): Overview => ({
  at,
  nodes: [
    { id: 'n1', connections: 3, cpu_ms: at / 10, totals: { publications, drops: { background: drops } } },
    {
      id: 'n2',
      connections: 4,
      totals: { publications: 1, hellos: { resumed: 2 }, offline_ms: [{ le: 5, n: 1 }] },
    },
  ],
});

test('rate of a counter that went back is unknown', () => {
  assert.equal(rate(30, 10, 2_000), 10);
  assert.equal(rate(10, 30, 2_000), null);
  assert.equal(rate(30, 10, 0), null);
  assert.equal(rate(undefined, 10, 1_000), null);
});

test('counters of all nodes add up', () => {
  const totals = totalsOf(at(0, 5, 7).nodes);
  assert.equal(totals.publications, 6);
  assert.deepEqual(totals.drops, { background: 7 });
  assert.deepEqual(totals.hellos, { resumed: 2 });
  assert.deepEqual(totals.offline_ms, [{ le: 5, n: 1 }]);
  assert.equal(totals.calls, undefined);
});

test('first sample has gauges and no rates', () => {
  const first = sampleOf(at(1_000, 5), undefined);
  assert.deepEqual([first.connections, first.publications, first.cpu], [7, null, null]);
  const next = sampleOf(at(3_000, 25, 4), at(1_000, 5));
  assert.deepEqual([next.publications, next.drops, next.cpu], [10, 2, 10]);
});

test('samples are bounded and each moment is taken once', () => {
  let samples: Sample[] = [];
  for (let second = 1; second <= SAMPLES_MAX + 5; second++)
    samples = push(samples, at(second * 1_000, second), undefined);
  assert.equal(samples.length, SAMPLES_MAX);
  assert.equal(samples[0]?.at, 6_000);
  assert.equal(push(samples, at(6_000, 1), undefined), samples);
});

test('causes are ranked and grow', () => {
  assert.deepEqual(ranked({ a: 1, b: 0, c: 7, d: 1 }), [
    ['c', 7],
    ['a', 1],
    ['d', 1],
  ]);
  assert.deepEqual(growth({ a: 5, b: 2 }, { a: 3, b: 4 }), { a: 2, b: 0 });
  assert.deepEqual(growth({ a: 5 }, undefined), { a: 0 });
});
