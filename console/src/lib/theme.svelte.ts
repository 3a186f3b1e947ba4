/** Light, dark, or as the system says. */

import { keep, kept } from './kept.ts';

export type Theme = 'auto' | 'light' | 'dark';

const THEME = 'tautline.console.theme';
const chosen = kept(THEME);
let theme = $state<Theme>(chosen === 'light' || chosen === 'dark' ? chosen : 'auto');
apply();

function apply(): void {
  document.documentElement.dataset['theme'] = theme;
}

export const themes = {
  get theme(): Theme {
    return theme;
  },
  next(): void {
    theme = theme === 'auto' ? 'light' : theme === 'light' ? 'dark' : 'auto';
    keep(THEME, theme);
    apply();
  },
};
