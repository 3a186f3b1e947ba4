/** One user's story: what each entry means, and when each session had a connection. Pure. */

import type { StoryEntry } from './types.ts';

export type Tone = 'good' | 'bad' | 'warn' | 'info' | 'quiet';
export type Group = 'line' | 'logs' | 'calls' | 'limits' | 'acts';

export const GROUPS: Group[] = ['line', 'logs', 'calls', 'limits', 'acts'];

const KINDS: Record<string, [Tone, Group]> = {
  dial: ['quiet', 'line'],
  opened: ['good', 'line'],
  resumed: ['good', 'line'],
  refused: ['bad', 'line'],
  away: ['warn', 'line'],
  shown: ['quiet', 'line'],
  hidden: ['quiet', 'line'],
  drop: ['bad', 'line'],
  closed: ['quiet', 'line'],
  login: ['info', 'line'],
  bye: ['warn', 'line'],
  gap: ['bad', 'logs'],
  acked: ['quiet', 'logs'],
  subscribed: ['info', 'logs'],
  unsubscribed: ['quiet', 'logs'],
  publish_refused: ['bad', 'logs'],
  call: ['info', 'calls'],
  limit: ['warn', 'limits'],
  kicked: ['bad', 'acts'],
  banned: ['bad', 'acts'],
};

export const toneOf = ({ kind, detail }: StoryEntry): Tone =>
  kind === 'call' && detail?.['error'] ? 'bad' : (KINDS[kind]?.[0] ?? 'quiet');

/** Kinds of later versions are shown with the lines. */
export const groupOf = (kind: string): Group => KINDS[kind]?.[1] ?? 'line';

/** Newest first, each once, however the pages overlap. */
export function merged(known: StoryEntry[], more: StoryEntry[]): StoryEntry[] {
  const all = new Map(known.map((entry) => [entry.id, entry]));
  for (const entry of more) all.set(entry.id, entry);
  return [...all.values()].sort((one, other) => other.id - one.id);
}

export interface Span {
  from: number;
  to: number;
  isOnline: boolean;
  /** Why it ended, where it was online. */
  cause?: string;
}

export interface Lane {
  session: string;
  spans: Span[];
  /** Drops and gaps on the lane. */
  marks: { at: number; tone: Tone; kind: string }[];
}

const BEGINS = ['opened', 'resumed'];
const PARTS = ['away', 'drop'];
const ENDS = ['closed', 'bye', 'kicked', 'banned'];

/** When each session had a connection, the latest session first. */
export function lanes(entries: StoryEntry[], now: number, lanesMax = 6): Lane[] {
  const bySession = new Map<string, StoryEntry[]>();
  for (const entry of [...entries].reverse()) {
    if (!entry.session) continue;
    const its = bySession.get(entry.session) ?? [];
    its.push(entry);
    bySession.set(entry.session, its);
  }
  const all = [...bySession].map(([session, its]) => laneOf(session, its, now));
  return all
    .filter(({ spans }) => spans.length > 0)
    .reverse()
    .slice(0, lanesMax);
}

function laneOf(session: string, entries: StoryEntry[], now: number): Lane {
  const lane: Lane = { session, spans: [], marks: [] };
  let since: { at: number; isOnline: boolean } | undefined;
  const end = (at: number, cause?: string) => {
    if (since && at > since.at)
      lane.spans.push({ from: since.at, to: at, isOnline: since.isOnline, ...(cause && { cause }) });
  };
  for (const entry of entries) {
    const { kind, detail } = entry;
    const offline = typeof detail?.['offline_ms'] === 'number' ? detail['offline_ms'] : undefined;
    // A client tells of a drop when it is back, and how long ago it was.
    const at = kind === 'drop' ? entry.at - (offline ?? 0) : entry.at;
    const cause = typeof detail?.['cause'] === 'string' ? detail['cause'] : undefined;
    if (['drop', 'gap', 'limit', 'publish_refused'].includes(kind))
      lane.marks.push({ at, tone: toneOf(entry), kind });
    if (BEGINS.includes(kind)) {
      // A story that was cut off begins with a resume: what was before is known by how long it was offline.
      if (!since && kind === 'resumed' && offline !== undefined)
        since = { at: at - offline, isOnline: false };
      end(at);
      since = { at, isOnline: true };
    } else if (PARTS.includes(kind) && since?.isOnline !== false) {
      end(at, cause);
      since = { at, isOnline: false };
    } else if (ENDS.includes(kind)) {
      end(at, cause);
      since = undefined;
    }
  }
  end(now);
  return lane;
}

/** What an entry tells besides its kind, in this order; the rest as it comes. */
const FIRST = ['cause', 'outcome', 'offline_ms', 'reason', 'channel', 'method', 'ms', 'error', 'code'];

export function detailsOf(entry: StoryEntry): [string, unknown][] {
  const isNews = ([name, value]: [string, unknown]) =>
    value !== null && value !== undefined && !(name === 'outcome' && value === entry.kind);
  const all = Object.entries(entry.detail ?? {}).filter(isNews);
  const rank = (name: string) => (FIRST.indexOf(name) + FIRST.length + 1) % (FIRST.length + 1);
  return all.sort((one, other) => rank(one[0]) - rank(other[0]));
}
