/** The books must be able to say no: each counter really counts. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Ledger, type Entry, type Figures } from '../src/ledger.ts';

/** Two phones that read a channel from its start, and `a` has published 1 to 3, each acknowledged. */
function books(...entries: Entry[]): Figures {
  const ledger = new Ledger();
  for (const phone of ['a', 'b']) ledger.enter({ what: 'begins', phone, epoch: 'e', offset: 0 });
  for (const n of [1, 2, 3]) {
    ledger.enter({ what: 'published', phone: 'a', n });
    ledger.enter({ what: 'acknowledged', phone: 'a', n, epoch: 'e', offset: n });
  }
  for (const n of [1, 2, 3]) ledger.enter(handed('a', n));
  entries.forEach((entry) => ledger.enter(entry));
  return ledger.figures();
}

function handed(phone: string, offset: number, n = offset, from = 'a'): Entry {
  return { what: 'handed', phone, epoch: 'e', offset, from, n, ms: 1 };
}

function assertFaults(figures: Figures, lost: number, doubled: number, reordered: number): void {
  const found = { lost: figures.lost, doubled: figures.doubled, reordered: figures.reordered };
  assert.deepEqual(found, { lost, doubled, reordered });
}

describe('the ledger', () => {
  test('a good run has nothing to complain about', () => {
    const figures = books(handed('b', 1), handed('b', 2), handed('b', 3));
    assertFaults(figures, 0, 0, 0);
    assert.equal(figures.sent, 3);
    assert.equal(figures.received, 3);
    assert.equal(figures.awaited, 0);
    assert.equal(figures.underway, 0);
  });

  test('what was acknowledged and skipped is lost', () => {
    assertFaults(books(handed('b', 1), handed('b', 3)), 1, 0, 0);
  });

  test('the first of a channel can be lost too', () => {
    assertFaults(books(handed('b', 2), handed('b', 3)), 1, 0, 0);
  });

  test('what is still on its way is awaited, not lost', () => {
    const figures = books(handed('b', 1));
    assertFaults(figures, 0, 0, 0);
    assert.equal(figures.awaited, 2);
  });

  test('what nobody was promised cannot be lost', () => {
    const figures = books(handed('b', 1), handed('b', 2), handed('b', 3), handed('b', 5, 5), handed('a', 5, 5));
    assertFaults(figures, 0, 0, 0);
  });

  test('an acknowledgement that comes late still finds the loss', () => {
    const late: Entry = { what: 'acknowledged', phone: 'a', n: 4, epoch: 'e', offset: 4 };
    assertFaults(books(handed('b', 1), handed('b', 2), handed('b', 3), handed('b', 5), late, handed('a', 4)), 1, 0, 0);
  });

  test('a gap that the phone was told of is no loss', () => {
    const gap: Entry = { what: 'gap', phone: 'b', epoch: 'e', after: 0, offset: 2 };
    const figures = books(gap, handed('b', 3));
    assertFaults(figures, 0, 0, 0);
    assert.equal(figures.gaps, 1);
  });

  test('a gap to a new life of the log ends the old one without loss', () => {
    const figures = books(
      handed('b', 1),
      { what: 'gap', phone: 'b', epoch: 'f', after: 1, offset: 0 },
      { what: 'acknowledged', phone: 'a', n: 4, epoch: 'f', offset: 1 },
      { what: 'acknowledged', phone: 'a', n: 5, epoch: 'f', offset: 2 },
      { what: 'handed', phone: 'b', epoch: 'f', offset: 2, from: 'a', n: 5, ms: 1 },
    );
    assertFaults(figures, 1, 0, 0);
  });

  test('the same place in the log twice is doubled', () => {
    assertFaults(books(handed('b', 1), handed('b', 1), handed('b', 2), handed('b', 3)), 0, 1, 0);
  });

  test('a publication that was executed twice is doubled', () => {
    assertFaults(books(handed('b', 1), handed('b', 2), handed('b', 3), handed('b', 4, 3)), 0, 1, 0);
  });

  test('an offset that does not rise is reordered', () => {
    assertFaults(books(handed('b', 1), handed('b', 3), handed('b', 2)), 0, 0, 1);
  });

  test('a sender that is overtaken by itself is reordered', () => {
    assertFaults(books(handed('b', 1), handed('b', 2, 3), handed('b', 3, 2)), 0, 0, 1);
  });

  test('the journals of two pages can be put together in any order', () => {
    const ofB: Entry[] = [{ what: 'begins', phone: 'b', epoch: 'e', offset: 0 }, handed('b', 1), handed('b', 3)];
    const ofA: Entry[] = [1, 2, 3].map((n) => ({ what: 'acknowledged', phone: 'a', n, epoch: 'e', offset: n }));
    for (const journals of [[...ofA, ...ofB], [...ofB, ...ofA]]) {
      const ledger = new Ledger();
      journals.forEach((entry) => ledger.enter(entry));
      assert.equal(ledger.figures().lost, 1);
    }
  });

  test('a call is asked, settled, and never settled again', () => {
    const asked: Entry = { what: 'asked', phone: 'a', call: 1 };
    const settled: Entry = { what: 'settled', phone: 'a', call: 1, ok: true };
    const good = books(asked, settled);
    assert.deepEqual([good.asked, good.settled, good.settledTwice], [1, 1, 0]);
    const bad = books(asked, settled, settled);
    assert.deepEqual([bad.asked, bad.settled, bad.settledTwice], [1, 1, 1]);
  });

  test('a publication that failed is settled and counted apart', () => {
    const figures = books(
      { what: 'published', phone: 'a', n: 4 },
      { what: 'published', phone: 'a', n: 5 },
      { what: 'failed', phone: 'a', n: 4, code: 'expired' },
    );
    assert.deepEqual([figures.sent, figures.failed, figures.underway], [3, 1, 1]);
  });
});
