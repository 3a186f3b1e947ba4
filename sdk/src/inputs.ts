/**
 * Where something comes from outside, it is made what the rest relies on: whole numbers, and text that is text. What a host
 * or an app hands over may be anything, and what comes of it is sent, or stored, and read again.
 */

import { assign } from './assign.js';
import type { Cursor, ReadFrom } from './types.js';

/** 2⁵², the highest number that is sent or stored. */
const NUMBER_MAX = 4503599627370496;
/** What is kept of a host's words, in UTF-16 units. */
const WORDS_MAX = 256;

/** A whole number from 0 to 2⁵²; `otherwise` where it is none. */
export function wholeOf<T>(value: unknown, otherwise: T): number | T {
  return typeof value === 'number' && value === value
    ? Math.floor(Math.max(0, Math.min(value, NUMBER_MAX)))
    : otherwise;
}

/** A close code, as hosts give it: a number, or a text. */
export function codeOf(value: unknown): number | undefined {
  const code = parseInt(value as string, 10);
  return Math.abs(code) < 65536 ? code : undefined;
}

/** A host's words: some text, not too long, and with no half of a pair of surrogates in it. */
export function boundedText(value: unknown): string | undefined {
  if (typeof value !== 'string') return undefined;
  return value
    .slice(0, WORDS_MAX)
    .replace(/[\ud800-\udbff][\udc00-\udfff]|[\ud800-\udfff]/g, (it) => (it[1] ? it : '\ufffd'));
}

/** A place to read from, in the form in which it is sent. */
export function startOf<T extends ReadFrom>(from: T | null | undefined): T | undefined {
  if (!from || typeof from !== 'object') return from || undefined;
  const { epoch, offset, at } = from as Cursor;
  const place: Cursor = { epoch: String(epoch), offset: wholeOf(offset, 0) };
  return assign(place, { at: wholeOf(at, undefined) }) as T;
}
