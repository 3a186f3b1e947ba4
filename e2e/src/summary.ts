/** What a storm did, in a table that a person reads. */

import type { Entry, Figures } from '../../examples/demo/src/ledger.ts';
import type { Outage } from '../../examples/demo/src/outages.ts';

export function summary(seed: number, figures: Figures, journal: Entry[], outages: Outage[]): string {
  const rows: [string, string | number][] = [
    ['seed', seed],
    ['sent', figures.sent],
    ['received', figures.received],
    ['lost / doubled / reordered', `${figures.lost} / ${figures.doubled} / ${figures.reordered}`],
    ['calls asked / settled / twice', `${figures.asked} / ${figures.settled} / ${figures.settledTwice}`],
    ['failed / gaps', `${figures.failed} / ${figures.gaps}`],
    ['latency p50 / p99 / longest', latencies(journal)],
    ['drops', outages.length],
    ...causes(outages),
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`).join('\n');
}

function causes(outages: Outage[]): [string, number][] {
  const counts = new Map<string, number>();
  for (const { cause } of outages) counts.set(cause, (counts.get(cause) ?? 0) + 1);
  return [...counts].sort(([, one], [, other]) => other - one).map(([cause, count]) => [`  ${cause}`, count]);
}

/** Of what one phone got from the other. */
function latencies(journal: Entry[]): string {
  const all = journal.flatMap((entry) => (entry.what === 'handed' && entry.from !== entry.phone ? [entry.ms] : []));
  all.sort((one, other) => one - other);
  const at = (share: number) => all[Math.min(all.length - 1, Math.floor(all.length * share))] ?? 0;
  return [at(0.5), at(0.99), at(1)].map((ms) => `${ms.toFixed(1)} ms`).join(' / ');
}
