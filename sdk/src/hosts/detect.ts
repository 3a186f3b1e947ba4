/**
 * Finds out which host a line runs in. Nothing is looked at before a line is made.
 *
 * What counts is whether there are sockets: pages inside WeChat have a `wx` as well, without any. A mini program comes before
 * a browser, whose names leak into some of them.
 */

import type { Host } from '../host.js';
import { alipayHost } from './alipay.js';
import { baiduHost, douyinHost, jdHost, kuaishouHost, qqHost } from './alikes.js';
import { browserHere } from './browser-here.js';
import { globalsHere } from './globals.js';
import type { MiniApi } from './mini-api.js';
import { wechatHost } from './wechat.js';

declare const uni: unknown;

/** The host around us, or `undefined` where none is known. */
export function detectHost(): Host | undefined {
  return miniHere(typeof uni !== 'undefined' && uni) || browserHere();
}

/** The mini program around us. `wrapper` is not taken for one: on pages uni-app calls itself `wx`. */
export function miniHere(wrapper: unknown): Host | undefined {
  const globals = globalsHere();
  const found = globals.filter((it) => it && it !== wrapper && it.connectSocket)[0] as MiniApi | undefined;
  // In the order of the globals.
  const hosts = [douyinHost, qqHost, baiduHost, alipayHost, kuaishouHost, jdHost, wechatHost];
  return found && hosts[globals.indexOf(found)]!(found);
}
