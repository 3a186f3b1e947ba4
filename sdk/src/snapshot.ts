/**
 * What a session leaves on the device: one text, always written as a whole (`spec/client-session.md`, *Storage*).
 *
 * It is read as a whole too, or not at all: half a memory would be worse than none.
 */

import type { Cursors } from './subscriptions.js';
import type { RequestVerb } from './types.js';

/** The form of the text. A session reads no other. */
const VERSION = 1;
/** 2⁵²: half of the numbers that are the same everywhere, so that counting on never leaves them. */
const NUMBER_MAX = 4503599627370496;

/** A request that was not settled. */
export interface StoredRequest {
  request: number;
  verb: RequestVerb;
  body: object;
  /** The body as it was written, where the app has a JSON of its own: read and written again, it would lose digits. */
  json?: string;
  id?: number;
  /** It was about to be sent, in this session or an earlier one. */
  sent?: boolean;
  /** In wall milliseconds: the monotonic clock ends with the app. */
  asked_at: number;
  ttl: number;
  idempotent?: boolean;
  volatile?: boolean;
}

/** A stored session. */
export interface Stored {
  v: number;
  ticket?: string;
  attempt?: number;
  next_id: number;
  /** Publications past the cursors may have been handed over before the app was destroyed. */
  may_repeat?: boolean;
  /** The user's own channel. */
  own?: string;
  /** The channels that the gateway had subscribed by itself. */
  by_server?: string[];
  requests: StoredRequest[];
  cursors: Cursors;
}

/** Reads a stored text; nothing where it is damaged, or of another version. */
export function parseStored(text: unknown): Stored | undefined {
  try {
    const stored: Stored = JSON.parse(text as string);
    stored.requests.forEach((it) => {
      if (typeof it.body !== 'string') return;
      it.json = it.body;
      it.body = JSON.parse(it.json);
    });
    return stored.v === VERSION && isWhole(stored) ? stored : undefined;
  } catch (_) {
    return undefined;
  }
}

/** A stored session in text. `requests` are texts already: what was asked is not read again. */
export function storedText(
  stored: Pick<Stored, 'ticket' | 'attempt' | 'next_id' | 'may_repeat' | 'own' | 'by_server' | 'cursors'>,
  requests: string[],
): string {
  return '{"v":' + VERSION + ',"requests":[' + requests.join() + '],' + JSON.stringify(stored).slice(1);
}

function isWhole({
  ticket,
  attempt,
  next_id,
  own,
  by_server,
  may_repeat,
  requests,
  cursors,
}: Stored): boolean {
  const numbers: { [request: number]: boolean } = {};
  // Ids rise, and those without one come last: they were not sent in this session.
  let last: number | undefined = 0;
  return (
    next_id > 0 &&
    /^#[#u][su][su][bu]$/.test(kinds([next_id, attempt, ticket, own, may_repeat])) &&
    /^s*$/.test(kinds(by_server || [])) &&
    requests.every(({ request, verb, body, id, sent, asked_at, ttl, idempotent, volatile }) => {
      // Nothing is above an id that is missing.
      const rises = id === undefined || (isNumber(id) && id > last! && id < next_id);
      const isNew = !numbers[request];
      numbers[request] = true;
      last = id;
      return (
        rises &&
        isNew &&
        /^###[bu][bu][bu][^u]$/.test(kinds([request, asked_at, ttl, sent, idempotent, volatile, body])) &&
        (verb === 'publish' || verb === 'call')
      );
    }) &&
    Object.keys(cursors).every((channel) => {
      const { epoch, offset, at } = cursors[channel]!;
      return /^s#[#u]$/.test(kinds([epoch, offset, at]));
    })
  );
}

/** A letter for each: that of its type, `u` where it is missing; `#`: a number that may be stored. */
function kinds(values: unknown[]): string {
  return values.map((value) => (isNumber(value) ? '#' : (typeof value).charAt(0))).join('');
}

function isNumber(value: unknown): boolean {
  // What is no number is not its own floor either.
  const number = value as number;
  return number >= 0 && number <= NUMBER_MAX && Math.floor(number) === value;
}
