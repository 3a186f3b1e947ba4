/**
 * Finds out which host a line runs in. Nothing is looked at before a line is made.
 *
 * What counts is whether there are sockets: pages inside WeChat have a `wx` as well, without any. A mini program comes before
 * a browser, whose names leak into some of them.
 */

import type { Host } from '../host.js';
import { alipayHost } from './alipay.js';
import { baiduHost, douyinHost, jdHost, kuaishouHost, qqHost } from './wechat-compatible.js';
import { detectBrowser } from './detect-browser.js';
import { hostGlobals } from './globals.js';
import type { MiniApi } from './mini-api.js';
import { wechatHost } from './wechat.js';

declare const uni: unknown;

/** The host around us, or `undefined` where none is known. */
export function detectHost(): Host | undefined {
  return detectMini(typeof uni !== 'undefined' && uni) || detectBrowser();
}

/** The mini program around us. `wrapper` is not taken for one: on pages uni-app calls itself `wx`. */
export function detectMini(wrapper: unknown): Host | undefined {
  const globals = hostGlobals();
  const found = globals.filter((it) => it && it !== wrapper && it.connectSocket)[0] as MiniApi | undefined;
  // In the order of the globals.
  const hosts = [douyinHost, qqHost, baiduHost, alipayHost, kuaishouHost, jdHost, wechatHost];
  return found && hosts[globals.indexOf(found)]!(found);
}
