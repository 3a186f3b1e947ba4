/**
 * Finds out which host a line runs in. Nothing is looked at before a line is made.
 *
 * What counts is whether there are sockets: pages inside WeChat have a `wx` as well, without any. The specific comes before
 * the imitated, since several hosts also call themselves `wx`; and a mini program before a browser, whose names leak into
 * some of them.
 */

import type { Host } from '../host.js';
import { alipayHost } from './alipay.js';
import { baiduHost, douyinHost, jdHost, kuaishouHost, qqHost } from './alikes.js';
import { browserHere } from './browser-here.js';
import type { MiniApi } from './mini-api.js';
import { wechatHost } from './wechat.js';

declare const tt: MiniApi | undefined;
declare const qq: MiniApi | undefined;
declare const swan: MiniApi | undefined;
declare const my: MiniApi | undefined;
declare const ks: MiniApi | undefined;
declare const jd: MiniApi | undefined;
declare const wx: MiniApi | undefined;
declare const uni: unknown;

/** The host around us, or `undefined` where none is known. */
export function detectHost(): Host | undefined {
  return miniHere(typeof uni !== 'undefined' && uni) || browserHere();
}

/** The mini program around us. `wrapper` is not taken for one: on pages uni-app calls itself `wx`. */
export function miniHere(wrapper: unknown): Host | undefined {
  // Not in a loop: only a name that stands in the code can be asked for without `eval` or `globalThis`.
  const globals = [
    typeof tt !== 'undefined' && tt,
    typeof qq !== 'undefined' && qq,
    typeof swan !== 'undefined' && swan,
    typeof my !== 'undefined' && my,
    typeof ks !== 'undefined' && ks,
    typeof jd !== 'undefined' && jd,
    typeof wx !== 'undefined' && wx,
  ];
  const hosts = [douyinHost, qqHost, baiduHost, alipayHost, kuaishouHost, jdHost, wechatHost];
  const found = hosts.filter((_, i) => isMini(globals[i], wrapper))[0];
  return found && found(globals[hosts.indexOf(found)] as MiniApi);
}

function isMini(it: MiniApi | undefined | false, wrapper: unknown): unknown {
  return it && it !== wrapper && it.connectSocket;
}
