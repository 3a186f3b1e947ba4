/** A line for Kuaishou, and for nothing else: `tautline/kuaishou`. */

import type { App } from '../app.js';
import { kuaishouHost } from '../hosts/wechat-compatible.js';
import type { MiniApi } from '../hosts/mini-api.js';
import { lineOn, type Tautline as Line } from '../tautline.js';

declare const ks: MiniApi;

export { kuaishouHost };
export { TautlineError } from '../error.js';

/** A line over `ks`. */
export const Tautline = /*#__PURE__*/ lineOn(() =>
  typeof ks !== 'undefined' ? kuaishouHost(ks) : undefined,
);
export type Tautline<A extends App = App> = Line<A>;

export * from './types.js';
