/**
 * Bytes in payloads, and lines in msgpack.
 *
 * The session goes on in json, where bytes are `{"$bin":"<base64>"}`; what is here turns messages into msgpack and back at
 * the host, and an app's `ArrayBuffer` into that object and back at the app. A file of its own, so that phones without it
 * need not load it. Made for hosts that lack `TextEncoder` and its kin.
 */

import type { Host } from './host.js';
import { base64, fromBase64, toBase64 } from './hosts/base64.js';

/** The value of a line's option `format`: `msgpack`, `json`, or what `customJson` of `tautline/json` makes. */
export interface Format {
  /** So that nothing else is taken for one. */
  readonly brand?: 'format';
  /**
   * A host that speaks it.
   * @internal
   */
  over_?: (host: Host) => Host;
  /**
   * For `JSON.stringify`.
   * @internal
   */
  write_: (this: Holder, key: string, value: unknown) => unknown;
  /**
   * For `JSON.parse`.
   * @internal
   */
  read_?: (key: string, value: unknown) => unknown;
  /**
   * The body of a request as JSON, in place of `JSON.stringify`.
   * @internal
   */
  text_?: (body: object) => string;
  /**
   * Puts into a packet what the app's own parser makes of its payloads.
   * @internal
   */
  graft_?: (packet: object, line: string) => void;
}

/** An object whose values are being written. */
interface Holder {
  [key: string]: unknown;
}

/** How deeply a message of the gateway may be nested: more than it nests one (protocol, section 2). */
const DEPTH_MAX = 99;
/** 2⁵³: beyond it, whole numbers have gaps. */
const WHOLE_MAX = 9007199254740992;

/** For `JSON.stringify`: an `ArrayBuffer`, or what is a view into one. */
function write(this: Holder, key: string, value: unknown): unknown {
  // Node's own bytes have turned themselves into something else already.
  const it = this[key] as (ArrayBuffer & ArrayBufferView) | undefined;
  const bytes = it && it.byteLength >= 0 && (it.buffer || it);
  // Also one of another realm.
  if (Object.prototype.toString.call(bytes) !== '[object ArrayBuffer]') return value;
  return { $bin: toBase64(new Uint8Array(bytes as ArrayBuffer, it!.byteOffset, it!.byteLength)) };
}

/** For `JSON.parse`: the bytes that an object stands for, if it does. */
function read(_key: string, value: unknown): unknown {
  const text = ((value || {}) as { $bin?: unknown }).$bin;
  if (typeof text !== 'string' || Object.keys(value as object).length > 1) return value;
  const bytes = fromBase64(text);
  // What is no base64 is an object like any other.
  return toBase64(bytes) === text ? bytes : value;
}

/** Lines of json as a message. What is nested too deeply is the gateway's to refuse. */
export function encode(lines: string): ArrayBuffer {
  const out: number[] = [];

  /** Appends `1 << power` bytes, or more where the number takes more, behind a head that says how many. */
  function number(value: number, head: number, power: number, sign: number): void {
    while ((sign ? -1 - value : value) >= Math.pow(2, (8 << power) - sign)) power++;
    out.push(head + power);
    for (let size = 1 << power; size--;) out.push(Math.floor(value / Math.pow(256, size)) & 255);
  }
  /** The head of what has a length: in one byte where it is short. */
  function length(value: number, short: number, shortMax: number, head: number, power: number): void {
    if (value > shortMax) number(value, head, power, 0);
    else out.push(short + value);
  }
  function raw(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at++) out.push(bytes[at]!);
  }
  function put(value: unknown): void {
    if (typeof value === 'string') {
      // Half a pair of surrogates has no UTF-8: U+FFFD stands for it.
      const whole = value.replace(/[\ud800-\udbff][\udc00-\udfff]|[\ud800-\udfff]/g, (pair) =>
        pair[1] ? pair : '\ufffd',
      );
      const utf8 = unescape(encodeURIComponent(whole));
      length(utf8.length, 0xa0, 31, 0xd9, 0);
      for (let at = 0; at < utf8.length; at++) out.push(utf8.charCodeAt(at));
    } else if (typeof value === 'number') {
      if (value % 1 || Math.abs(value) > WHOLE_MAX) {
        const view = new DataView(new ArrayBuffer(8));
        view.setFloat64(0, value);
        out.push(0xcb);
        raw(new Uint8Array(view.buffer));
      } else if (value < -32) number(value, 0xd0, 0, 1);
      else length(value, value < 0 ? 256 : 0, 127, 0xcc, 0);
    } else if (!value || value === true) out.push(value ? 0xc3 : value === false ? 0xc2 : 0xc0);
    else if (value instanceof ArrayBuffer) {
      length(value.byteLength, 0, -1, 0xc4, 0);
      raw(new Uint8Array(value));
    } else if (value instanceof Array) {
      length(value.length, 0x90, 15, 0xdb, 1);
      value.forEach(put);
    } else {
      const keys = Object.keys(value as object);
      length(keys.length, 0x80, 15, 0xdd, 1);
      keys.forEach((key) => {
        put(key);
        put((value as Holder)[key]);
      });
    }
  }
  lines.split('\n').forEach((line) => line && put(JSON.parse(line, read)));
  return new Uint8Array(out).buffer as ArrayBuffer;
}

/** A message as lines of json. What is no msgpack becomes a line that is no packet; what is before it is kept. */
export function decode(message: ArrayBuffer): string {
  const bytes = new Uint8Array(message);
  let at = 0;
  let lines = '';

  /** Nothing is made of a length before there are as many bytes. */
  function take(length: number): Uint8Array {
    if (at + length > bytes.length) throw 0;
    at += length;
    return new Uint8Array(bytes.subarray(at - length, at));
  }
  /** Of 64 bits, those are lost that a number has no room for, as where json is read: hence in one rounding. */
  function number(size: number, signed?: boolean): number {
    if (size > 4) return number(4, signed) * 4294967296 + number(4);
    const some = take(size);
    let value = signed && some[0]! > 127 ? -1 : 0;
    for (let i = 0; i < size; i++) value = value * 256 + some[i]!;
    return value;
  }
  function text(length: number): string {
    const some = take(length);
    let utf8 = '';
    for (let i = 0; i < length; i++) utf8 += String.fromCharCode(some[i]!);
    return decodeURIComponent(escape(utf8));
  }
  function list(length: number, depth: number): unknown {
    const items: unknown[] = [];
    while (length--) items.push(value(depth));
    return items;
  }
  function map(length: number, depth: number): unknown {
    // Where a key may have any name.
    const pairs = Object.create(null);
    // Nothing but text has this method: any other key throws.
    while (length--) pairs[(value(depth) as string).substring(0)] = value(depth);
    return pairs;
  }
  function value(depth: number): unknown {
    const head = number(1);
    const size = 1 << (head & 3);
    if (!depth) throw 0;
    if (head < 0x80) return head;
    if (head < 0x90) return map(head & 15, depth - 1);
    if (head < 0xa0) return list(head & 15, depth - 1);
    if (head < 0xc0) return text(head & 31);
    if (head > 0xdf) return head - 256;
    if (head > 0xdd) return map(number(size / 2), depth - 1);
    if (head > 0xdb) return list(number(size * 2), depth - 1);
    if (head > 0xd8) return text(number(size / 2));
    if (head > 0xd3) throw 0;
    if (head > 0xcb) return number(size, head > 0xcf);
    if (head > 0xc9) {
      const view = new DataView(take(size).buffer);
      const float = size > 4 ? view.getFloat64(0) : view.getFloat32(0);
      if (!isFinite(float)) throw 0;
      return float;
    }
    if (head > 0xc6) throw 0;
    if (head > 0xc3) return take(number(size));
    if (head === 0xc1) throw 0;
    return head > 0xc0 ? head > 0xc2 : null;
  }
  try {
    while (at < bytes.length) {
      const packet = value(DEPTH_MAX);
      // Bytes alone would become an object.
      if (packet instanceof Uint8Array) throw 0;
      lines += JSON.stringify(packet, write) + '\n';
    }
  } catch (_) {
    lines += '?';
  }
  return lines;
}

/** Messages in msgpack, and `ArrayBuffer` wherever an app has `data`. */
export const msgpack: Format = {
  over_(inner) {
    const host: Host = Object.create(inner);
    host.dial = (url, _protocol, number, tell, more) => {
      // Some hosts drop the subprotocol: the gateway reads the format here, too.
      const socket = inner.dial(
        url + (/\?/.test(url) ? '&' : '?') + 'format=msgpack',
        'tautline.v1.msgpack',
        number,
        (fact) => {
          if (fact.type === 'socket_message' && typeof fact.data !== 'string')
            fact.text = decode(fact.data as ArrayBuffer);
          tell(fact);
        },
        more,
        base64,
      );
      return {
        send: (lines) => socket.send(encode(lines as string)),
        close: socket.close,
        task: socket.task!,
      };
    };
    return host;
  },
  write_: write,
  read_: read,
};

/** Messages in json, as without any `format`, and `ArrayBuffer` wherever an app has `data`. */
export const json: Format = { write_: write, read_: read };
