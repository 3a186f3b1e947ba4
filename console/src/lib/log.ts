/** A part of a channel's log. Pure. */

import type { Publication } from './types.ts';

export const LOG_MAX = 2_000;

/** What is known and what comes behind it, each once; the newest stay where there are too many. */
export function appended(known: Publication[], more: Publication[]): Publication[] {
  const last = known.at(-1)?.offset ?? 0;
  const fresh = more.filter(({ offset }) => offset > last);
  // Whoever was away for longer than a page goes on with the page alone: nothing may be missing in between.
  if (fresh.length && known.length && fresh[0]!.offset !== last + 1) return more;
  return fresh.length ? [...known, ...fresh].slice(-LOG_MAX) : known;
}

/** What a publication recalls (protocol, section 5). */
export function recallOf(data: unknown): { epoch: string; offset: number } | undefined {
  const its = (data as { $recall?: { epoch?: unknown; offset?: unknown } } | null | undefined)?.$recall;
  return its && typeof its.epoch === 'string' && typeof its.offset === 'number'
    ? { epoch: its.epoch, offset: its.offset }
    : undefined;
}

/** Offsets of this log that were taken back. */
export function recalledOffsets(log: Publication[], epoch: string): Set<number> {
  const recalls = log.map(({ data }) => recallOf(data)).filter((it) => it?.epoch === epoch);
  return new Set(recalls.map((it) => it!.offset));
}
