/** WeChat: mini programs and mini games. */

import type { Host } from '../host.js';
import type { MiniApi } from './mini-api.js';
import { miniHost } from './mini.js';

/** A host over `wx`, of a mini program or of a mini game; also over what copies it. */
export function wechatHost(wx: MiniApi): Host {
  return miniHost(wx, { platform: 'wechat' });
}
