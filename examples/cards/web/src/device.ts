/** What the device keeps: the login, the language, taps without an outcome. */

import { speaks, type Language, type Tap } from './shared.ts';

/** What the shop gave at the login. */
export interface Account {
  member: string;
  token: string;
}

// Two devices in one browser, for a demonstration and for tests: `?as=2`.
const PREFIX = `cards${new URLSearchParams(location.search).get('as') ?? ''}.`;

function read<T>(key: string): T | undefined {
  const text = localStorage.getItem(PREFIX + key);
  return text === null ? undefined : (JSON.parse(text) as T);
}

function keep(key: string, value: unknown): void {
  localStorage.setItem(PREFIX + key, JSON.stringify(value));
}

export const account = (): Account | undefined => read<Account>('account');
export const keepAccount = (account: Account): void => keep('account', account);

/** Taps are a member's: another one who logs in here does not make them again. */
export function forgetAccount(): void {
  localStorage.removeItem(`${PREFIX}account`);
}

export function keptTaps(member: string): { all(): Tap[]; set(tap: Tap): void; remove(key: string): void } {
  const prefix = `taps.${member}.`;
  const names = () => Object.keys(localStorage).filter((name) => name.startsWith(PREFIX + prefix));
  return {
    all: () => names().map((name) => read<Tap>(name.slice(PREFIX.length))!),
    set: (tap) => keep(prefix + tap.key, tap),
    remove: (key) => localStorage.removeItem(PREFIX + prefix + key),
  };
}

export function language(): Language {
  const wanted = new URLSearchParams(location.search).get('lang') ?? read<string>('language') ?? navigator.language;
  return wanted.startsWith('zh') ? 'zh' : 'en';
}

export function setLanguage(language: Language): void {
  keep('language', language);
}

/** Speaks the language of this device. */
export const say = speaks(language());
