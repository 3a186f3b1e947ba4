/** A line for QQ, and for nothing else: `tautline/qq`. */

import type { App } from '../app.js';
import { qqHost } from '../hosts/wechat-compatible.js';
import type { MiniApi } from '../hosts/mini-api.js';
import { lineOn, type Tautline as Line } from '../tautline.js';

declare const qq: MiniApi;

export { qqHost };
export { TautlineError } from '../error.js';

/** A line over `qq`. */
export const Tautline = /*#__PURE__*/ lineOn(() => (typeof qq !== 'undefined' ? qqHost(qq) : undefined));
export type Tautline<A extends App = App> = Line<A>;

export * from './types.js';
