/** What the device keeps: the player, the name, the language, and the room that was open last. */

import { speaks, type Language } from './shared.ts';

/** What the server gave a new player. */
export interface Account {
  player: string;
  token: string;
}

// Two players in one browser, for a demonstration and for tests: `?as=2`.
const PREFIX = `gold${new URLSearchParams(location.search).get('as') ?? ''}.`;

function read(key: string): string | undefined {
  return localStorage.getItem(PREFIX + key) ?? undefined;
}

function keep(key: string, value: string): void {
  localStorage.setItem(PREFIX + key, value);
}

/** The player of this device; made at the first visit. */
export async function account(): Promise<Account> {
  const kept = read('account');
  if (kept) return JSON.parse(kept) as Account;
  const headers = { 'content-type': 'application/json' };
  const response = await fetch('/gold/players', { method: 'POST', headers, body: '{}' });
  if (!response.ok) throw new Error(`the server has no player for us: ${response.status}`);
  const made = (await response.json()) as Account;
  keep('account', JSON.stringify(made));
  return made;
}

/** The name on the screens. */
export function name(): string {
  return read('name') ?? '';
}

export function setName(name: string): void {
  keep('name', name);
}

/** A player without a name has one that is nice enough. */
export function named(): string {
  if (!name()) setName(`${say('title')} ${Math.floor(Math.random() * 900 + 100)}`);
  return name();
}

export function language(): Language {
  const wanted = new URLSearchParams(location.search).get('lang') ?? read('language') ?? navigator.language;
  return wanted.startsWith('zh') ? 'zh' : 'en';
}

export function setLanguage(language: Language): void {
  keep('language', language);
}

/** Speaks the language of this device. */
export const say = speaks(language());
