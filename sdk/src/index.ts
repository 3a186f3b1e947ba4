/** Everything that an app can import, for every host. `tautline/wechat` and its like hold one host only. */

import { detectHost } from './hosts/detect.js';
import { lineOn, type Tautline as Line } from './tautline.js';
import type { App } from './app.js';

// In an order that compresses well: the bundle follows it.
export { wechatHost } from './hosts/wechat.js';
export { baiduHost, douyinHost, jdHost, kuaishouHost, qqHost } from './hosts/wechat-compatible.js';
export { alipayHost } from './hosts/alipay.js';
export { browserHost, nodeHost } from './hosts/browser.js';
export { frameworkHost } from './hosts/framework.js';
export { TautlineError } from './error.js';

/** A line that finds out by itself where it runs. */
export const Tautline = /*#__PURE__*/ lineOn(detectHost);
export type Tautline<A extends App = App> = Line<A>;

export * from './entries/types.js';
