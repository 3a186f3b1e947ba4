/**
 * A set of whole numbers that mostly come in order, kept as ranges: a day of offsets costs a few bytes.
 */

/** Both ends belong to it. */
type Range = [first: number, last: number];

export class Ranges {
  private ranges: Range[] = [];

  /** Adds `first` to `last`, both included; nothing if `last` comes before `first`. */
  add(first: number, last = first): void {
    if (last < first) return;
    // Neighbours merge, hence the one on either side.
    let from = this.firstEndingAt(first - 1);
    let until = from;
    while (until < this.ranges.length && this.ranges[until]![0] <= last + 1) until++;
    const swallowed = this.ranges.slice(from, until);
    const merged: Range = [
      Math.min(first, swallowed[0]?.[0] ?? first),
      Math.max(last, swallowed[swallowed.length - 1]?.[1] ?? last),
    ];
    this.ranges.splice(from, until - from, merged);
  }

  has(number: number): boolean {
    const range = this.ranges[this.firstEndingAt(number)];
    return range !== undefined && range[0] <= number;
  }

  /** The largest number in it; 0 for none. */
  get last(): number {
    return this.ranges[this.ranges.length - 1]?.[1] ?? 0;
  }

  /** How many numbers are in it. */
  get size(): number {
    return this.ranges.reduce((sum, [first, last]) => sum + last - first + 1, 0);
  }

  /** How many of `first` to `last` are in it and not in `others`. */
  countWithout(others: Ranges, first: number, last: number): number {
    let count = 0;
    for (const [from, to] of this.ranges) {
      const low = Math.max(from, first);
      const high = Math.min(to, last);
      if (low <= high) count += high - low + 1 - others.countWithin(low, high);
    }
    return count;
  }

  private countWithin(first: number, last: number): number {
    let count = 0;
    for (let at = this.firstEndingAt(first); at < this.ranges.length; at++) {
      const [from, to] = this.ranges[at]!;
      if (from > last) break;
      count += Math.min(to, last) - Math.max(from, first) + 1;
    }
    return count;
  }

  /** The first range that ends at `number` or behind it. */
  private firstEndingAt(number: number): number {
    let low = 0;
    let high = this.ranges.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.ranges[middle]![1] < number) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
