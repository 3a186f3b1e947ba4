/** Packets of a trace, as they are shown. Pure. */

export interface TraceEntry {
  id: number;
  at: number;
  way: 'in' | 'out' | 'note';
  /** What it is: `publish`, `pub`. */
  title: string;
  text: string;
  isHeld: boolean;
  bytes?: number;
}

export const ENTRIES_MAX = 500;

/** Newest first. */
export function bounded<T>(known: T[], next: T): T[] {
  return [next, ...known.slice(0, ENTRIES_MAX - 1)];
}

/** A publication of a trace; members that are not known are shown as they are. */
export function entryOf(data: unknown, offset: number, at: number): TraceEntry {
  const its = (typeof data === 'object' && data !== null ? data : { data }) as Record<string, unknown>;
  const { at: when, way, direction, packet, kind, bytes, payload, ...rest } = its;
  const title = String(packet ?? kind ?? '');
  const parts = Object.entries(rest).map(([name, value]) => `${name}=${flat(value)}`);
  if (payload !== undefined) parts.push(flat(payload));
  const which = String(way ?? direction ?? '');
  return {
    id: offset,
    at: typeof when === 'number' ? when : at,
    way: /^(in|received|from_client|client)/.test(which) ? 'out' : which ? 'in' : 'note',
    title,
    text: parts.join(' '),
    isHeld: false,
    ...(typeof bytes === 'number' && { bytes }),
  };
}

function flat(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
