/** Hosts that have WeChat's sockets to the letter, or nearly so: Douyin, QQ, Baidu, Kuaishou, JD. */

import type { Host } from '../host.js';
import { globalSocket } from './global-socket.js';
import type { MiniApi } from './mini-api.js';
import { miniHost } from './mini.js';

/** A host over `tt`: Douyin, Toutiao and Feishu. The gateway must echo the subprotocol there, which Tautline's does. */
export function douyinHost(tt: MiniApi): Host {
  return miniHost(tt, { platform: 'douyin' });
}

/** A host over `qq`. */
export function qqHost(qq: MiniApi): Host {
  return miniHost(qq, { platform: 'qq' });
}

/** A host over `swan`: Baidu. Before base library 1.9.4 it has one socket for the whole app. Before base library 3.60.2 it has no life cycle: call `notifyShow` and `notifyHide`. */
export function baiduHost(swan: MiniApi): Host {
  return miniHost(swan, { platform: 'baidu', taskless: globalSocket });
}

/** A host over `ks`: Kuaishou. */
export function kuaishouHost(ks: MiniApi): Host {
  return miniHost(ks, { platform: 'kuaishou' });
}

/** A host over `jd`, which has one socket for the whole app, and no life cycle: call `notifyShow` and `notifyHide`. */
export function jdHost(jd: MiniApi): Host {
  return miniHost(jd, { platform: 'jd', slots: 1, taskless: globalSocket });
}
