/** Everything that an app can import. */

export { TautlineError } from './error.js';
export type { Fact, Host, Socket, Tell } from './host.js';
export { browserHost } from './hosts/browser.js';
export type { BrowserSocket, BrowserWindow } from './hosts/browser.js';
export { wechatHost } from './hosts/wechat.js';
export type { Wechat, WechatSocketTask } from './hosts/wechat.js';
export type * from './options.js';
export { Tautline } from './tautline.js';
export type * from './vocabulary.js';
