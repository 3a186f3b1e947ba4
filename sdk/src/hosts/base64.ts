/** Base64, for hosts that carry bytes as text and have no `atob`. */

import type { Base64 } from '../host.js';

const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/** Bytes as text. */
export function toBase64(bytes: ArrayBuffer | Uint8Array): string {
  const from = new Uint8Array(bytes);
  let text = '';
  for (let bit = 0; bit < from.length * 8; bit += 6) {
    // Past the end there is nothing, which shifts and masks take for zeros.
    const two = (from[bit >> 3]! << 8) | from[(bit >> 3) + 1]!;
    text += DIGITS.charAt((two >> (10 - (bit & 7))) & 63);
  }
  while (text.length & 3) text += '=';
  return text;
}

/** Text as bytes. What is no digit is skipped. */
export function fromBase64(text: string): ArrayBuffer {
  const digits = text.replace(/[^A-Za-z0-9+/]/g, '');
  const bytes = new Uint8Array((digits.length * 3) >> 2);
  let bits = 0;
  for (let at = 0, to = 0; at < digits.length; at++) {
    bits = (bits << 6) | DIGITS.indexOf(digits.charAt(at));
    if (at & 3) bytes[to++] = bits >> (6 - 2 * (at & 3));
  }
  return bytes.buffer as ArrayBuffer;
}

/** Both, to lend to a host. */
export const base64: Base64 = { textOf_: toBase64, bytesOf_: fromBase64 };
