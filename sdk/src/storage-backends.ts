/** Synchronous storage, as each kind of host has it. Whatever fails throws. */

import { ALIPAY, hostGlobals } from './hosts/globals.js';

/** Where texts are kept by key. Each method may throw; `set` keeps all of the text or none. */
export interface Device {
  /** The text, or anything else where there is none. */
  get(key: string): unknown;
  set(key: string, text: string): void;
  remove(key: string): void;
}

/** The storage of WeChat and those who call theirs as it does. */
export interface MiniStorage {
  setStorageSync(key: string, data: unknown): unknown;
  getStorageSync(key: string): unknown;
  removeStorageSync(key: string): unknown;
}

/** Alipay's. */
export interface AlipayStorage {
  setStorageSync(options: { key: string; data: unknown }): unknown;
  getStorageSync(options: { key: string }): { data?: unknown };
  removeStorageSync(options: { key: string }): unknown;
}

/** The part of `localStorage` that is used. */
interface WebStorage {
  setItem(key: string, text: string): void;
  getItem(key: string): string | null;
  removeItem(key: string): void;
}

declare const localStorage: WebStorage | undefined;

/** `wx`, `tt`, `qq`, `swan`, `ks`, `jd`, `uni` or `Taro`. */
export function miniDevice(api: MiniStorage): Device {
  return {
    get: (key) => api.getStorageSync(key),
    set: (key, text) => check(api.setStorageSync(key, text)),
    remove: (key) => check(api.removeStorageSync(key)),
  };
}

/** `my`. */
export function alipayDevice(api: AlipayStorage): Device {
  return {
    get: (key) => api.getStorageSync({ key }).data,
    set: (key, data) => check(api.setStorageSync({ key, data })),
    remove: (key) => check(api.removeStorageSync({ key })),
  };
}

/** `localStorage`, or `sessionStorage` for a line of each tab's own. */
export function browserDevice(storage: WebStorage): Device {
  return {
    get: (key) => storage.getItem(key),
    set: (key, text) => storage.setItem(key, text),
    remove: (key) => storage.removeItem(key),
  };
}

/**
 * The storage around us.
 *
 * @throws where there is none, or a browser forbids it.
 */
export function detectDevice(): Device {
  const globals = hostGlobals() as unknown[] as (Partial<MiniStorage> | false | undefined)[];
  const mini = globals.filter((it) => it && it.setStorageSync)[0];
  if (!mini) return browserDevice(localStorage!);
  return mini === globals[ALIPAY]
    ? alipayDevice(mini as unknown as AlipayStorage)
    : miniDevice(mini as MiniStorage);
}

/** Some hosts return their errors. */
function check(result: unknown): void {
  const { error } = (result || {}) as { error?: unknown };
  if (error) throw result;
}
