/** Ranges are a set; a set of plain numbers is asked whether they agree. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ranges } from '../src/ranges.ts';

test('ranges say what a set of numbers says, whatever the order', () => {
  let state = 7;
  const random = (below: number) => (state = (state * 48271) % 2147483647) % below;
  const ranges = new Ranges();
  const others = new Ranges();
  const numbers = new Set<number>();
  const otherNumbers = new Set<number>();
  for (let round = 0; round < 400; round++) {
    const first = 1 + random(300);
    const last = first + random(4) - 1;
    ranges.add(first, last);
    for (let number = first; number <= last; number++) numbers.add(number);
    const other = 1 + random(300);
    others.add(other);
    otherNumbers.add(other);

    const low = random(300);
    const high = low + random(100);
    const expected = [...numbers].filter((n) => n >= low && n <= high && !otherNumbers.has(n)).length;
    assert.equal(ranges.countWithout(others, low, high), expected);
    assert.equal(ranges.size, numbers.size);
    assert.equal(ranges.last, Math.max(0, ...numbers));
    assert.equal(ranges.has(other), numbers.has(other));
  }
});
