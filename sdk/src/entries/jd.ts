/** A line for JD, and for nothing else: `tautline/jd`. */

import type { App } from '../app.js';
import { jdHost } from '../hosts/wechat-compatible.js';
import type { MiniApi } from '../hosts/mini-api.js';
import { lineOn, type Tautline as Line } from '../tautline.js';

declare const jd: MiniApi;

export { jdHost };
export { TautlineError } from '../error.js';

/** A line over `jd`. */
export const Tautline = /*#__PURE__*/ lineOn(() => (typeof jd !== 'undefined' ? jdHost(jd) : undefined));
export type Tautline<A extends App = App> = Line<A>;

export * from './types.js';
