/**
 * Taro and uni-app. Their own sockets are wrappers with faults of their own: one reports every close of the server's as
 * 1006, one gives every listener to the wrong socket on Alipay, one counts its own log as a socket. So they are only asked
 * where they run, and the line uses what is underneath.
 */

import type { Host } from '../host.js';
import { detectBrowser } from './detect-browser.js';
import { detectMini } from './detect.js';
import { globalSocket } from './global-socket.js';
import type { MiniApi } from './mini-api.js';
import { miniHost } from './mini.js';

/** The part of `Taro` or `uni` that is used. */
export interface Framework {
  /** Taro's. */
  getEnv?(): unknown;
  connectSocket(options: object): unknown;
}

/** The host under `Taro` or `uni`; `uni` itself in its own native apps, where nothing is underneath. */
export function frameworkHost(framework: Framework): Host {
  // On a page, uni-app calls itself `wx`; the browser is there all the same.
  const web = framework.getEnv && framework.getEnv() === 'WEB';
  // Where a promise of a task comes, it comes too late to listen: the global events remain.
  const own = { platform: 'app', taskless: globalSocket };
  return (!web && detectMini(framework)) || detectBrowser() || miniHost(framework as MiniApi, own);
}
