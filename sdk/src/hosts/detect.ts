/** Finds out which host a line runs in. Nothing is looked at before a line is made. */

import type { Host } from '../host.js';
import { browserHost, type BrowserWindow } from './browser.js';
import { wechatHost, type Wechat } from './wechat.js';

declare const wx: Partial<Wechat> | undefined;
declare const window: BrowserWindow | undefined;
declare const WebSocket: BrowserWindow['WebSocket'] | undefined;

/** The host around us, or `undefined` where none is known. */
export function detectHost(): Host | undefined {
  // Pages inside WeChat have a `wx` as well, without sockets.
  if (typeof wx !== 'undefined' && wx.connectSocket) return wechatHost(wx as Wechat);
  // A worker or Node has no window. Inside a mini program both names may be there and undefined.
  if (typeof WebSocket !== 'undefined') return browserHost(typeof window !== 'undefined' ? window : { WebSocket });
  return undefined;
}
