/** Rates out of counters, and the last minutes of them for the charts. Pure. */

import type { Counts, Node, Overview, Totals } from './types.ts';

/** What the charts show of one moment: gauges as they are, counters as rates per second. */
export interface Sample {
  at: number;
  connections: number;
  users: number;
  sessions: number;
  publications: number | null;
  deliveries: number | null;
  calls: number | null;
  drops: number | null;
  resumed: number | null;
  opened: number | null;
  cpu: number | null;
}

/** Ten minutes of seconds. */
export const SAMPLES_MAX = 600;
/** A rate over less than this is noise. */
const SPAN_MS_MIN = 200;

export const sum = (counts: Counts | undefined): number =>
  Object.values(counts ?? {}).reduce((all, n) => all + n, 0);

/** All counters of all nodes together. */
export function totalsOf(
  nodes: Node[],
): Required<Pick<Totals, 'hellos' | 'gaps' | 'drops' | 'byes'>> & Totals {
  const all: ReturnType<typeof totalsOf> = { hellos: {}, gaps: {}, drops: {}, byes: {}, offline_ms: [] };
  for (const { totals } of nodes) {
    if (!totals) continue;
    for (const name of ['publications', 'deliveries', 'calls', 'rate_limited', 'panics'] as const)
      if (totals[name] !== undefined) all[name] = (all[name] ?? 0) + totals[name];
    for (const name of ['hellos', 'gaps', 'drops', 'byes'] as const)
      for (const [key, n] of Object.entries(totals[name] ?? {})) all[name][key] = (all[name][key] ?? 0) + n;
    (totals.offline_ms ?? []).forEach(({ le, n }, index) => {
      const known = all.offline_ms![index];
      if (known) known.n += n;
      else all.offline_ms!.push({ le, n });
    });
  }
  return all;
}

export const gauge = (
  nodes: Node[],
  name: 'connections' | 'sessions' | 'users_online' | 'channels' | 'subscriptions' | 'rss_bytes' | 'cpu_ms',
): number => nodes.reduce((all, node) => all + (node[name] ?? 0), 0);

/** Growth per second; nothing where a counter is unknown, went back (a restart) or the time between is too short. */
export function rate(now: number | undefined, before: number | undefined, spanMs: number): number | null {
  if (now === undefined || before === undefined || now < before || spanMs < SPAN_MS_MIN) return null;
  return ((now - before) * 1_000) / spanMs;
}

export function sampleOf(now: Overview, before: Overview | undefined): Sample {
  const [totals, old] = [totalsOf(now.nodes), before && totalsOf(before.nodes)];
  const span = before ? now.at - before.at : 0;
  const per = (pick: (of: ReturnType<typeof totalsOf>) => number | undefined) =>
    rate(pick(totals), old && pick(old), span);
  const cpu = rate(gauge(now.nodes, 'cpu_ms'), before && gauge(before.nodes, 'cpu_ms'), span);
  return {
    at: now.at,
    connections: gauge(now.nodes, 'connections'),
    users: gauge(now.nodes, 'users_online'),
    sessions: gauge(now.nodes, 'sessions'),
    publications: per((of) => of.publications),
    deliveries: per((of) => of.deliveries),
    calls: per((of) => of.calls),
    drops: per((of) => sum(of.drops)),
    resumed: per((of) => of.hellos['resumed']),
    opened: per((of) => of.hellos['opened']),
    // Milliseconds of the processor per second are thousandths of a core.
    cpu: cpu === null ? null : cpu / 10,
  };
}

/** The next state of the charts: bounded, in order of time, each moment once. */
export function push(samples: Sample[], now: Overview, before: Overview | undefined): Sample[] {
  const last = samples.at(-1);
  if (last && now.at <= last.at) return samples;
  return [...samples.slice(-(SAMPLES_MAX - 1)), sampleOf(now, before)];
}

/** The largest first; what is 0 is left out. */
export function ranked(counts: Counts): [string, number][] {
  return Object.entries(counts)
    .filter(([, n]) => n > 0)
    .sort((one, other) => other[1] - one[1] || (one[0] < other[0] ? -1 : 1));
}

/** How much each counter has grown. */
export function growth(now: Counts, before: Counts | undefined): Counts {
  return Object.fromEntries(
    Object.entries(now).map(([key, n]) => [key, before ? Math.max(0, n - (before[key] ?? 0)) : 0]),
  );
}
