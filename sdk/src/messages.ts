/** Why a connection ended, in words that a developer can act on. A file of its own, so that phones need not load it. */

import type { DropCause } from './types.js';

/** A sentence for each cause. */
export type Messages = { readonly [cause in DropCause]: string };

/** In English. */
export const WORDS_EN: Messages = {
  closed_by_app: 'The app closed the line.',
  background:
    'The app was in the background, where the host cuts connections. The line comes back with the app.',
  network_lost: 'The network is gone. The line comes back with it.',
  network_changed: 'The phone moved to another network, and the old connection did not survive.',
  peer_silent:
    'Nothing came back any more, not even the answer to a ping: a dead connection that nobody announced.',
  connect_timeout:
    'The gateway did not say welcome in time. Is the address right, and does a firewall swallow packets?',
  server_restart: 'The gateway restarts, and asked the line to come back.',
  taken_over: 'The session has a newer connection, in another tab or after a restart of the app.',
  kicked: 'An operator ended the session, or keeps this user out.',
  auth_failed: 'The login was refused, has expired, or the app could not get one. Look at `auth`.',
  domain_not_allowed:
    'The domain is not in the list of socket domains in the settings of the mini program. Add it there.',
  tls_failed:
    'TLS failed. Check the certificate (its chain, its name, its dates, TLS 1.2 or newer) and the clock of the phone.',
  dns_failed: 'The host name was not found. Check the address, and the network of the phone.',
  slots_exhausted: 'The host allows no more sockets. Close those that the app does not need.',
  refused:
    'The gateway, or a proxy before it, turned the connection away. It may be overloaded, or the path be wrong.',
  protocol_error:
    'One end said what the other does not understand. Do the versions fit, and does a proxy change messages?',
  unknown:
    'The host did not say why, or the gateway said it in a word that this version does not know: look at `reason`.',
};

/** In Chinese. */
export const WORDS_ZH: Messages = {
  closed_by_app: '应用主动关闭了连接。',
  background: '应用进入后台，宿主会切断连接；回到前台后会自动恢复。',
  network_lost: '网络已断开；网络恢复后会自动重连。',
  network_changed: '手机切换了网络，旧连接已失效。',
  peer_silent: '对端毫无响应，连 ping 也没有回应：连接已死，但没有任何通知。',
  connect_timeout: '网关没有及时应答。请检查地址是否正确、是否被防火墙拦截。',
  server_restart: '网关正在重启，并要求客户端稍后重连。',
  taken_over: '会话已被更新的连接接管（另一个页面，或应用重启之后）。',
  kicked: '管理员结束了会话，或禁止了该用户。',
  auth_failed: '登录被拒绝、已过期，或应用未能取得凭证。请检查 `auth`。',
  domain_not_allowed: '域名不在小程序后台的 socket 合法域名列表中，请添加。',
  tls_failed: 'TLS 失败。请检查证书（证书链、域名、有效期，TLS 1.2 以上）和手机时钟。',
  dns_failed: '找不到主机名。请检查地址和手机网络。',
  slots_exhausted: '宿主不允许打开更多 socket。请关闭应用不再需要的连接。',
  refused: '网关或其前面的代理拒绝了连接：可能过载，也可能路径有误。',
  protocol_error: '一方发送了另一方无法理解的内容。请检查版本是否匹配、代理是否改动了消息。',
  unknown: '宿主没有说明原因，或网关给出了此版本不认识的原因：请查看 `reason`。',
};
