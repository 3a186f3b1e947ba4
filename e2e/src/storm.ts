/**
 * A seeded schedule of everything that a network and an owner do to phones.
 *
 * Start at `storm`: the same seed brings the same events at the same times.
 */

/** Something that happens to one phone, or to the gateway. */
export type Event = { at: number } & (
  | { phone: string; what: 'fault'; fault: Fault }
  | { phone: string; what: 'hide' | 'show' }
  | { what: 'drain' }
);

/** As the control API of `tautline-chaos` takes it. */
export interface Fault {
  fault: 'cut' | 'fin' | 'reset' | 'half_open' | 'stall' | 'refuse';
  direction?: 'up' | 'down' | 'both';
  for_ms?: number;
}

/** How often each kind comes, against the others. */
const WEIGHTS: [weight: number, kind: Fault['fault'] | 'background'][] = [
  [6, 'cut'],
  [2, 'fin'],
  [2, 'reset'],
  [4, 'half_open'],
  [4, 'stall'],
  [1, 'refuse'],
  [2, 'background'],
];
/** From one event of a phone to its next one, in milliseconds. Were it shorter, back-off would keep the phones away from it. */
const PAUSE_MS = [400, 10_000] as const;
/** How long a stall, a half-open or a refusal lasts. */
const FAULT_MS = [200, 8_000] as const;
/** How long the owner looks away: shorter and longer than the host's patience. */
const AWAY_MS = [1_000, 9_000] as const;

/** What happens within `lastsMs`, in the order of time; one drain is about in the middle. */
export function storm(seed: number, lastsMs: number, phones: string[]): Event[] {
  const random = new Random(seed);
  const events: Event[] = [{ at: lastsMs * random.between(0.4, 0.6), what: 'drain' }];
  for (const phone of phones) {
    let at = random.between(...PAUSE_MS);
    while (at < lastsMs) {
      const kind = random.weighted(WEIGHTS);
      if (kind === 'background') {
        events.push({ at, phone, what: 'hide' });
        // Nobody looks away twice at once.
        at = Math.min(lastsMs, at + random.between(...AWAY_MS));
        events.push({ at, phone, what: 'show' });
      } else {
        events.push({ at, phone, what: 'fault', fault: makeFault(kind, random) });
      }
      at += random.between(...PAUSE_MS);
    }
  }
  return events.sort((one, other) => one.at - other.at);
}

function makeFault(fault: Fault['fault'], random: Random): Fault {
  const for_ms = Math.round(random.between(...FAULT_MS));
  const direction = random.weighted<'up' | 'down' | 'both'>([[1, 'up'], [1, 'down'], [2, 'both']]);
  switch (fault) {
    case 'cut':
    case 'fin':
      return { fault };
    case 'reset':
      return { fault, direction };
    case 'half_open':
    case 'stall':
      return { fault, direction, for_ms };
    case 'refuse':
      return { fault, for_ms };
  }
}

/** Mulberry32: small, and the same everywhere. */
class Random {
  constructor(private state: number) {}

  between(least: number, most: number): number {
    return least + this.next() * (most - least);
  }

  weighted<T>(choices: [weight: number, value: T][]): T {
    let left = this.next() * choices.reduce((sum, [weight]) => sum + weight, 0);
    for (const [weight, value] of choices) {
      left -= weight;
      if (left < 0) return value;
    }
    return choices[choices.length - 1]![1];
  }

  private next(): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  }
}
