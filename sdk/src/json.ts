/**
 * JSON by the app's own parser and writer, for numbers that JavaScript's lose digits of: `tautline/json`. Back ends in Java and
 * Go send ids of 64 bits, of which JSON.parse keeps 53.
 *
 * The line itself goes on with JSON.parse: only payloads are the app's, and whatever its parser does, the line does not break.
 */

import { messageOf } from './hosts/causes.js';
import { assign } from './assign.js';
import type { Format } from './msgpack.js';

/** As `JSON` has them: `json-bigint`, `lossless-json`, or two functions of the app's. */
export interface JsonLike {
  /** Is given a whole packet; of what it makes of it, the payloads are taken. */
  parse(text: string): unknown;
  /** Is given a payload, and gives text in JSON; `undefined` for what JSON has no word for. */
  stringify(value: unknown): string | undefined;
}

/** A value of the line's option `format`: `new Tautline({ format: customJson(JSONbig), … })`. */
export function customJson(its: JsonLike): Format {
  if (typeof its.parse !== 'function' || typeof its.stringify !== 'function')
    throw new TypeError('customJson wants { parse, stringify }');
  return {
    write_: (_key, value) => value,
    text_(body) {
      const rest = assign({}, body) as { data?: unknown };
      const { data } = rest;
      delete rest.data;
      const text = JSON.stringify(rest);
      const own = data === undefined ? data : written(data);
      return own === undefined ? text : text.slice(0, -1) + ',"data":' + own + '}';
    },
    graft_(packet, line) {
      const bodies = bodiesOf(packet).filter(hasData);
      if (!bodies.length) return;
      const theirs = bodiesOf(its.parse(line) as Packet).filter(hasData);
      if (theirs.length !== bodies.length) throw new Error('`parse` has lost the `data` of a packet');
      bodies.forEach((body, i) => {
        body.data = theirs[i]!.data;
      });
    },
  };

  /** The payload as one line of JSON. What `stringify` gives is the app's: it must not break the packet that it becomes part of. */
  function written(data: unknown): string | undefined {
    try {
      const own = its.stringify(data);
      if (own === undefined) return own;
      if (typeof own !== 'string') throw 'it gave a ' + typeof own;
      JSON.parse(own);
      // Between values; inside of a text they are escaped.
      return own.replace(/[\r\n]/g, ' ');
    } catch (error) {
      throw new Error('`stringify`: ' + messageOf(error));
    }
  }
}

interface Packet {
  pub?: Body;
  ok?: Body;
}

interface Body {
  data?: unknown;
  publications?: Body[];
}

/** Where payloads may be: of a publication, of an answer, of each publication on a page of the past. */
function bodiesOf({ pub, ok }: Packet): (Body | undefined)[] {
  return ([pub, ok] as (Body | undefined)[]).concat((ok && ok.publications) || []);
}

function hasData(body: Body | undefined): body is Body {
  return !!body && typeof body === 'object' && 'data' in body;
}
