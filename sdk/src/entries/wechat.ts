/** A line for WeChat mini programs and mini games, and for nothing else: `tautline/wechat`. */

import type { App } from '../app.js';
import { wechatHost } from '../hosts/wechat.js';
import type { MiniApi } from '../hosts/mini-api.js';
import { lineOn, type Tautline as Line } from '../tautline.js';

declare const wx: MiniApi;

export { wechatHost };
export { TautlineError } from '../error.js';

/** A line over `wx`. */
export const Tautline = /*#__PURE__*/ lineOn(() => (typeof wx !== 'undefined' ? wechatHost(wx) : undefined));
export type Tautline<A extends App = App> = Line<A>;

export * from './types.js';
