/**
 * The books of the demo: what was sent, what arrived, and whether anything was lost, doubled or reordered.
 *
 * Start at `Ledger.enter`. Entries of different phones may come in any order, so the journals of two pages can be put
 * together afterwards. It knows nothing of sockets, clocks or the page.
 *
 * - **Lost**: acknowledged to its sender, and neither handed to a phone that reads the channel nor covered by a gap that
 *   the phone was told of, although the phone was given something later in the log.
 * - **Doubled**: handed to a phone twice, be it the same place in the log or the same publication in two places; or a
 *   call that was settled twice.
 * - **Reordered**: handed to a phone after something that comes later in the log, or that its sender sent later.
 */

import { Ranges } from './ranges.ts';

/** Something that happened to a phone. `n` counts what a phone sends, from 1. */
export type Entry =
  /** It reads the channel from behind this place. */
  | { what: 'begins'; phone: string; epoch: string; offset: number }
  | { what: 'published'; phone: string; n: number }
  | { what: 'acknowledged'; phone: string; n: number; epoch: string; offset: number }
  /** Settled with an error: it may be in the log or not. */
  | { what: 'failed'; phone: string; n: number; code: string }
  | { what: 'handed'; phone: string; epoch: string; offset: number; from: string; n: number; ms: number }
  /** The phone was told that nothing can be proved up to this place. */
  | { what: 'gap'; phone: string; epoch: string; after: number; offset: number }
  | { what: 'asked'; phone: string; call: number }
  | { what: 'settled'; phone: string; call: number; ok: boolean };

/** What the books say. */
export interface Figures {
  /** Acknowledged to their senders. */
  sent: number;
  /** Handed to phones other than the sender. */
  received: number;
  lost: number;
  doubled: number;
  reordered: number;
  /** Gaps that phones were told of. */
  gaps: number;
  /** Published and not settled yet. */
  underway: number;
  /** Acknowledged, and not yet handed to every phone that reads. */
  awaited: number;
  /** Publications settled with an error. */
  failed: number;
  /** Promises of publications that were settled more than once. */
  publishedTwice: number;
  asked: number;
  settled: number;
  settledTwice: number;
}

/** What one phone reads of one life of the log. */
interface Reader {
  epoch: string;
  /** It stood here when it began. */
  start: number;
  handed: Ranges;
  /** Handed, or covered by a gap. */
  accounted: Ranges;
}

/** Numbers that are to be settled once each. */
class Promises {
  opened = new Ranges();
  settled = new Ranges();
  twice = 0;

  settle(n: number): void {
    if (this.settled.has(n)) this.twice++;
    this.settled.add(n);
  }
}

export class Ledger {
  /** By epoch: every offset that was acknowledged to its sender. */
  private acknowledged = new Map<string, Ranges>();
  /** By phone: the lives of the log that it read, the newest last. */
  private readers = new Map<string, Reader[]>();
  /** By reading and sending phone: which publications were handed over. */
  private heard = new Map<string, Ranges>();
  private publications = new Map<string, Promises>();
  private calls = new Map<string, Promises>();
  private received = 0;
  private doubled = 0;
  private reordered = 0;
  private gaps = 0;
  private failed = 0;

  /** Books one thing that happened. */
  enter(entry: Entry): void {
    switch (entry.what) {
      case 'begins':
        return this.begin(entry.phone, entry.epoch, entry.offset);
      case 'published':
        return at(this.publications, entry.phone, () => new Promises()).opened.add(entry.n);
      case 'acknowledged':
        at(this.acknowledged, entry.epoch, () => new Ranges()).add(entry.offset);
        return at(this.publications, entry.phone, () => new Promises()).settle(entry.n);
      case 'failed':
        this.failed++;
        return at(this.publications, entry.phone, () => new Promises()).settle(entry.n);
      case 'handed':
        return this.hand(entry);
      case 'gap':
        return this.gap(entry);
      case 'asked':
        return at(this.calls, entry.phone, () => new Promises()).opened.add(entry.call);
      case 'settled':
        return at(this.calls, entry.phone, () => new Promises()).settle(entry.call);
    }
  }

  /** What the books say now. */
  figures(): Figures {
    const publications = total(this.publications);
    const calls = total(this.calls);
    return {
      sent: [...this.acknowledged.values()].reduce((sum, offsets) => sum + offsets.size, 0),
      received: this.received,
      lost: this.each((acknowledged, reader) =>
        acknowledged.countWithout(reader.accounted, reader.start + 1, reader.accounted.last),
      ),
      doubled: this.doubled,
      reordered: this.reordered,
      gaps: this.gaps,
      underway: publications.opened - publications.settled,
      awaited: this.each((acknowledged, reader, newest) =>
        newest ? acknowledged.countWithout(reader.accounted, Math.max(reader.start, reader.accounted.last) + 1, Infinity) : 0,
      ),
      failed: this.failed,
      publishedTwice: publications.twice,
      asked: calls.opened,
      settled: calls.settled,
      settledTwice: calls.twice,
    };
  }

  private begin(phone: string, epoch: string, offset: number): void {
    const lives = at(this.readers, phone, () => []);
    if (lives.some((reader) => reader.epoch === epoch)) return;
    lives.push({ epoch, start: offset, handed: new Ranges(), accounted: new Ranges() });
  }

  private hand({ phone, epoch, offset, from, n }: Entry & { what: 'handed' }): void {
    // Without a beginning (a phone that was not yet told where it stands) it begins here.
    this.begin(phone, epoch, offset - 1);
    const reader = at(this.readers, phone, () => []).find((reader) => reader.epoch === epoch)!;
    const heard = at(this.heard, `${phone} ${from}`, () => new Ranges());

    if (reader.handed.has(offset) || heard.has(n)) this.doubled++;
    else if (offset < reader.accounted.last || n < heard.last) this.reordered++;
    if (from !== phone) this.received++;
    reader.handed.add(offset);
    reader.accounted.add(offset);
    heard.add(n);
  }

  private gap({ phone, epoch, after, offset }: Entry & { what: 'gap' }): void {
    this.gaps++;
    this.begin(phone, epoch, offset);
    const reader = at(this.readers, phone, () => []).find((reader) => reader.epoch === epoch)!;
    reader.accounted.add(after + 1, offset);
  }

  /** Adds up `count` over every phone and every life of the log that it read. */
  private each(count: (acknowledged: Ranges, reader: Reader, newest: boolean) => number): number {
    let sum = 0;
    for (const lives of this.readers.values()) {
      lives.forEach((reader, at) => {
        const acknowledged = this.acknowledged.get(reader.epoch);
        if (acknowledged) sum += count(acknowledged, reader, at === lives.length - 1);
      });
    }
    return sum;
  }
}

function at<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) map.set(key, (value = make()));
  return value;
}

function total(books: Map<string, Promises>): { opened: number; settled: number; twice: number } {
  const sum = { opened: 0, settled: 0, twice: 0 };
  for (const { opened, settled, twice } of books.values()) {
    sum.opened += opened.size;
    sum.settled += settled.size;
    sum.twice += twice;
  }
  return sum;
}
