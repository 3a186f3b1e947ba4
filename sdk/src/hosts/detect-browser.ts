/** Finds the browser around us. */

import type { Host } from '../host.js';
import { browserHost, type BrowserWindow } from './browser.js';

declare const window: BrowserWindow | undefined;
declare const WebSocket: BrowserWindow['WebSocket'] | undefined;

/** The browser around us; also a worker, or Node, which have no window. */
export function detectBrowser(): Host | undefined {
  // Inside a mini program both names may be there and undefined.
  if (typeof WebSocket !== 'undefined')
    return browserHost(typeof window !== 'undefined' ? window : { WebSocket });
  return undefined;
}
