/** Numbers, sizes, times and payloads as text. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bytes, count, duration, moment, oneLine, percent, short } from '../src/lib/format.ts';

test('numbers have digits that matter', () => {
  const cases: [number | null | undefined, string][] = [
    [0, '0'],
    [0.416, '0.42'],
    [7.36, '7.36'],
    [42.4242, '42.4'],
    [9_999, '9999'],
    [12_345, '12.3k'],
    [999_499, '999k'],
    [999_500, '1M'],
    [1_234_567_890, '1.23G'],
    [-12_345, '-12.3k'],
    [null, '–'],
    [undefined, '–'],
    [NaN, '–'],
  ];
  for (const [value, text] of cases) assert.equal(short(value), text);
  assert.equal(count(1_234_567, 'en'), '1,234,567');
  assert.equal(count(undefined, 'zh'), '–');
});

test('sizes go up by 1024', () => {
  assert.deepEqual([0, 1_023, 1_024, 1_536, 104_857_600, 3 * 2 ** 30].map(bytes), [
    '0 B',
    '1023 B',
    '1 KiB',
    '1.5 KiB',
    '100 MiB',
    '3 GiB',
  ]);
});

test('durations have two units in either language', () => {
  const all = [0, 840, 4_230, 59_900, 60_000, 190_000, 7_500_000, 187_200_000];
  assert.deepEqual(
    all.map((ms) => duration(ms, 'en')),
    ['0 ms', '840 ms', '4.2 s', '59 s', '1 min', '3 min 10 s', '2 h 5 min', '2 d 4 h'],
  );
  assert.equal(duration(190_000, 'zh'), '3 分 10 秒');
  assert.equal(duration(-5, 'en'), '0 ms');
  assert.equal(duration(undefined, 'en'), '–');
});

test('shares of nothing are a dash', () => {
  assert.equal(percent(1, 0, 'en'), '–');
  assert.equal(percent(1, 8, 'en'), '13 %');
  assert.equal(percent(1, 1_000, 'en'), '0.1 %');
});

test('moment of another day has its date', () => {
  const now = new Date(2026, 10, 30, 21, 5, 9).getTime();
  assert.equal(moment(now, now), '21:05:09');
  assert.equal(moment(now - 86_400_000, now), '2026-11-29 21:05:09');
});

test('payload on one line is cut', () => {
  assert.equal(oneLine({ a: [1, '<b>'] }), '{"a":[1,"<b>"]}');
  assert.equal(oneLine('x'.repeat(300), 10), `${'x'.repeat(10)}…`);
  assert.equal(oneLine(undefined), 'undefined');
});
