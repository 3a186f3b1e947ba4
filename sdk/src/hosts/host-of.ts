/** The host that an app means by the object it passes: `wx`, `my`, `Taro`, `uni`, or none. */

import type { Host } from '../host.js';
import { alipayHost } from './alipay.js';
import { detectHost } from './detect.js';
import { frameworkHost, type Framework } from './framework.js';
import { globalSocket } from './global-socket.js';
import type { MiniApi } from './mini-api.js';
import { miniHost } from './mini.js';

declare const uni: unknown;

/** A host over `api`, or the one around us where none is passed. */
export function hostOf(given: object | undefined): Host | undefined {
  const api = given as (MiniApi & Framework) | undefined;
  if (!api) return detectHost();
  if (api.getEnv || (typeof uni !== 'undefined' && api === uni)) return frameworkHost(api);
  // Only Alipay can take these listeners off again.
  if ('offSocketMessage' in api) return alipayHost(api);
  return miniHost(api, { platform: 'mini', taskless: globalSocket });
}
