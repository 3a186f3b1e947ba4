/** A line for Alipay, and for nothing else: `tautline/alipay`. */

import type { App } from '../app.js';
import { alipayHost } from '../hosts/alipay.js';
import type { MiniApi } from '../hosts/mini-api.js';
import { lineOn, type Tautline as Line } from '../tautline.js';

declare const my: MiniApi;

export { alipayHost };
export { TautlineError } from '../error.js';

/** A line over `my`. */
export const Tautline = /*#__PURE__*/ lineOn(() => (typeof my !== 'undefined' ? alipayHost(my) : undefined));
export type Tautline<A extends App = App> = Line<A>;

export * from './types.js';
