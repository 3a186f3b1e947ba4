/**
 * `tautline/msgpack`: bytes in payloads, and messages in msgpack: `new Tautline({ format: msgpack, … })`. An app gives an
 * `ArrayBuffer`, or a view into one, wherever it gives `data`, and gets an `ArrayBuffer`.
 */

export { json, msgpack } from '../msgpack.js';
export type { Format } from '../msgpack.js';
