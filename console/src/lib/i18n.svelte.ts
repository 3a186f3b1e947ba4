/** The language of the pages: the browser's, until somebody chooses. */

import { keep, kept } from './kept.ts';
import { words, type Word } from './words/index.ts';
import { fill } from './words/fill.ts';
import * as format from './format.ts';
import type { Language } from './format.ts';

const LANGUAGE = 'tautline.console.language';

function first(): Language {
  const chosen = kept(LANGUAGE);
  if (chosen === 'en' || chosen === 'zh') return chosen;
  return navigator.languages.find((it) => /^(zh|en)/.test(it))?.startsWith('zh') ? 'zh' : 'en';
}

const began = first();
let language = $state<Language>(began);
document.documentElement.lang = began === 'zh' ? 'zh-CN' : 'en';

export const i18n = {
  get language(): Language {
    return language;
  },
  choose(chosen: Language): void {
    language = chosen;
    keep(LANGUAGE, chosen);
    document.documentElement.lang = chosen === 'zh' ? 'zh-CN' : 'en';
  },
};

/** A word or a sentence in the language of the page, with `{name}` filled in. */
export function t(word: Word, values?: Record<string, string | number>): string {
  return fill(words[word][language === 'zh' ? 1 : 0], values);
}

/** What the server names, as people say it: `prefix.name` where the table has that, else the name itself. */
export function name(prefix: string, key: string): string {
  const word = `${prefix}.${key}`;
  return Object.hasOwn(words, word) ? t(word as Word) : key;
}

/** Formats in the language of the page. */
export const show = {
  count: (value: number | null | undefined, digits?: number) => format.count(value, language, digits),
  duration: (ms: number | null | undefined) => format.duration(ms, language),
  percent: (part: number, whole: number) => format.percent(part, whole, language),
  ago: (at: number | null | undefined, now: number) =>
    typeof at === 'number' ? t('ago', { time: format.duration(now - at, language) }) : format.DASH,
};
