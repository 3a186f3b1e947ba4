/** Base64, for hosts that carry bytes as text and have no `atob`. */

const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/** Bytes as text. */
export function toBase64(bytes: ArrayBuffer): string {
  const from = new Uint8Array(bytes);
  let text = '';
  for (let at = 0; at < from.length; at += 3) {
    const three = (from[at]! << 16) | (from[at + 1]! << 8) | from[at + 2]!;
    // Past the end there is nothing, which shifts and masks take for zeros.
    for (let shift = 18; shift >= 0; shift -= 6) text += DIGITS.charAt((three >> shift) & 63);
  }
  const missing = (3 - (from.length % 3)) % 3;
  return text.slice(0, text.length - missing) + '=='.slice(0, missing);
}

/** Text as bytes. What is no digit is skipped. */
export function fromBase64(text: string): ArrayBuffer {
  const digits = text.replace(/[^A-Za-z0-9+/]/g, '');
  const bytes = new Uint8Array((digits.length * 3) >> 2);
  let bits = 0;
  for (let at = 0, to = 0; at < digits.length; at++) {
    bits = (bits << 6) | DIGITS.indexOf(digits.charAt(at));
    if (at % 4) bytes[to++] = bits >> (6 - 2 * (at % 4));
  }
  return bytes.buffer as ArrayBuffer;
}
