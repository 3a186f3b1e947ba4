/** The types that every entry exports beside its line. */

export type { Base64, Fact, Host, Socket, Tell } from '../host.js';
export type { BrowserSocket, BrowserWindow } from '../hosts/browser.js';
export type { Framework } from '../hosts/framework.js';
export type { MiniApi, MiniTask } from '../hosts/mini-api.js';
export type { Tautline as Line, TautlineConstructor } from '../tautline.js';
export * from '../app.js';
export * from '../options.js';
export * from '../types.js';
