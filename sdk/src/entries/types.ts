/** The types that every entry exports beside its line. */

export type { Base64, Fact, Host, Socket, Tell } from '../host.js';
export type { BrowserSocket, BrowserWindow } from '../hosts/browser.js';
export type { Framework } from '../hosts/framework.js';
export type { MiniApi, MiniTask } from '../hosts/mini-api.js';
export type { Tautline as Line, TautlineConstructor } from '../tautline.js';
export type * from '../app.js';
export type * from '../options.js';
export type * from '../vocabulary.js';
