/** What all screens share: the server, the account, the route, the time, and notes at the edge of the page. */

import { Api, Problem } from './api.ts';
import { t } from './i18n.svelte.ts';
import { parseRoute } from './route.ts';
import type { Account, Scope } from './types.ts';

const NOTE_MS = 6_000;
const NOTES_MAX = 4;

export interface Note {
  id: number;
  text: string;
  bad: boolean;
}

export const api = new Api(document.baseURI);

class App {
  account = $state<Account>();
  /** The first question of the page has no answer yet. */
  isStarting = $state(true);
  /** No account exists: the page tells how to make one. */
  needsSetup = $state(false);
  /** The server could not be asked whether somebody is signed in. */
  startFailure = $state<string>();
  route = $state.raw(parseRoute(location.hash));
  now = $state(Date.now());
  notes = $state<Note[]>([]);
  private notesMade = 0;

  can(scope: Scope): boolean {
    return this.account?.scopes.includes(scope) ?? false;
  }

  signedIn(account: Account | undefined): void {
    this.account = api.account = account;
  }

  async start(): Promise<void> {
    this.isStarting = true;
    this.startFailure = undefined;
    try {
      this.signedIn(await api.ask<Account>('session'));
    } catch (error) {
      if (error instanceof Problem && error.status === 401) this.needsSetup = error.setup;
      else this.startFailure = describe(error);
    }
    this.isStarting = false;
  }

  async signOut(): Promise<void> {
    try {
      await api.ask('session', { method: 'DELETE' });
    } catch (error) {
      this.tell(describe(error), true);
      return;
    }
    this.signedIn(undefined);
  }

  tell(text: string, bad = false): void {
    const id = ++this.notesMade;
    this.notes = [...this.notes.slice(1 - NOTES_MAX), { id, text, bad }];
    setTimeout(() => this.dismiss(id), NOTE_MS);
  }

  dismiss(id: number): void {
    this.notes = this.notes.filter((note) => note.id !== id);
  }
}

export const app = new App();

/** A failure in words for people. */
export function describe(error: unknown): string {
  if (!(error instanceof Problem)) return String(error instanceof Error ? error.message : error);
  if (error.code === 'unreachable') return t('failure.unreachable');
  const wait = error.retryAfterMs
    ? ` ${t('failure.retry', { n: Math.ceil(error.retryAfterMs / 1_000) })}`
    : '';
  return `${error.message}${wait}`;
}

api.onSignedOut = () => app.signedIn(undefined);
addEventListener('hashchange', () => (app.route = parseRoute(location.hash)));
setInterval(() => (app.now = Date.now()), 1_000);
