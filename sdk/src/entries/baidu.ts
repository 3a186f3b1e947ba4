/** A line for Baidu, and for nothing else: `tautline/baidu`. */

import type { App } from '../app.js';
import { baiduHost } from '../hosts/wechat-compatible.js';
import type { MiniApi } from '../hosts/mini-api.js';
import { lineOn, type Tautline as Line } from '../tautline.js';

declare const swan: MiniApi;

export { baiduHost };
export { TautlineError } from '../error.js';

/** A line over `swan`. */
export const Tautline = /*#__PURE__*/ lineOn(() =>
  typeof swan !== 'undefined' ? baiduHost(swan) : undefined,
);
export type Tautline<A extends App = App> = Line<A>;

export * from './types.js';
