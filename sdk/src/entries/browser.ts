/** A line for browsers, workers and Node, and for nothing else: `tautline/browser`. */

import type { App } from '../app.js';
import { detectBrowser } from '../hosts/detect-browser.js';
import { lineOn, type Tautline as Line } from '../tautline.js';

export { browserHost, nodeHost } from '../hosts/browser.js';
export { TautlineError } from '../error.js';

/** A line over the browser's `WebSocket`. */
export const Tautline = /*#__PURE__*/ lineOn(detectBrowser);
export type Tautline<A extends App = App> = Line<A>;

export * from './types.js';
