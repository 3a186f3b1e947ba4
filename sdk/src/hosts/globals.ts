/** The global objects of mini programs, by the names they have. The one list of them. */

import type { MiniApi } from './mini-api.js';

declare const tt: MiniApi | undefined;
declare const qq: MiniApi | undefined;
declare const swan: MiniApi | undefined;
declare const my: MiniApi | undefined;
declare const ks: MiniApi | undefined;
declare const jd: MiniApi | undefined;
declare const wx: MiniApi | undefined;

/** Where Alipay's stands, which has a storage of its own kind. */
export const ALIPAY = 3;

/** Those that are there; the specific before the imitated, since several hosts also call themselves `wx`. */
export function hostGlobals(): (MiniApi | false | undefined)[] {
  // Not in a loop: only a name that stands in the code can be asked for without `eval` or `globalThis`.
  return [
    typeof tt !== 'undefined' && tt,
    typeof qq !== 'undefined' && qq,
    typeof swan !== 'undefined' && swan,
    typeof my !== 'undefined' && my,
    typeof ks !== 'undefined' && ks,
    typeof jd !== 'undefined' && jd,
    typeof wx !== 'undefined' && wx,
  ];
}
