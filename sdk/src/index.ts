/** Everything that an app can import. */

// In an order that compresses well: the bundle follows it.
export { wechatHost } from './hosts/wechat.js';
export { browserHost } from './hosts/browser.js';
export { Tautline } from './tautline.js';
export { TautlineError } from './error.js';

export type { Fact, Host, Socket, Tell } from './host.js';
export type { BrowserSocket, BrowserWindow } from './hosts/browser.js';
export type { Wechat, WechatSocketTask } from './hosts/wechat.js';
export type * from './options.js';
export type * from './vocabulary.js';
