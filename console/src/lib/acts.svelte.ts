/** Acts: what they do is told, a reason is asked, and the outcome is noted. One dialog for all of them. */

import { api, app, describe } from './app.svelte.ts';
import { t } from './i18n.svelte.ts';
import type { Word } from './words/index.ts';

export const REASON_CHARS_MAX = 200;

export interface ActField {
  name: string;
  label: Word;
  value?: string;
  /** With choices it is a list. */
  choices?: [value: string, label: string][];
  long?: boolean;
  optional?: boolean;
  hint?: Word;
}

export interface Act {
  title: string;
  /** What will happen. */
  about: string;
  button: string;
  danger?: boolean;
  fields?: ActField[];
  run: (fields: Record<string, string>, reason: string) => Promise<unknown>;
  done?: () => void;
}

class Acts {
  present = $state.raw<Act>();
  isBusy = $state(false);
  failure = $state<string>();
  /** Comes back in the next dialog: acts often have one reason together. */
  reason = $state('');

  open(act: Act): void {
    this.failure = undefined;
    this.present = act;
  }

  close(): void {
    if (!this.isBusy) this.present = undefined;
  }

  async confirm(fields: Record<string, string>): Promise<void> {
    const act = this.present;
    if (!act || this.isBusy) return;
    this.isBusy = true;
    this.failure = undefined;
    try {
      const answer = (await act.run(fields, this.reason.trim())) as { sessions?: number } | undefined;
      const sessions = answer?.sessions;
      const count = typeof sessions === 'number' ? ` ${t('act.sessions', { n: sessions })}` : '';
      app.tell(`${act.title}: ${t('act.done')}.${count}`);
      this.present = undefined;
      act.done?.();
    } catch (error) {
      this.failure = describe(error);
    }
    this.isBusy = false;
  }
}

export const acts = new Acts();

/** An act that is one operation of the API. */
export function operation(path: string, body: (fields: Record<string, string>) => unknown): Act['run'] {
  return (fields, reason) => api.post(`api/v1/${path}`, body(fields), reason);
}
