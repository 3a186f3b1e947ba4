/** A line for Douyin, Toutiao and Feishu, and for nothing else: `tautline/douyin`. */

import type { App } from '../app.js';
import { douyinHost } from '../hosts/wechat-compatible.js';
import type { MiniApi } from '../hosts/mini-api.js';
import { lineOn, type Tautline as Line } from '../tautline.js';

declare const tt: MiniApi;

export { douyinHost };
export { TautlineError } from '../error.js';

/** A line over `tt`. */
export const Tautline = /*#__PURE__*/ lineOn(() => (typeof tt !== 'undefined' ? douyinHost(tt) : undefined));
export type Tautline<A extends App = App> = Line<A>;

export * from './types.js';
