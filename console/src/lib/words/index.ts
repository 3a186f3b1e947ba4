/** All words of the pages: English and Chinese beside each other, so that neither can lack one. */

import { acts } from './acts.ts';
import { names } from './names.ts';
import { screens } from './screens.ts';
import { shared } from './shared.ts';

export const words = { ...shared, ...screens, ...acts, ...names };
export type Word = keyof typeof words;
/** English, Chinese. */
export type Words = Record<string, readonly [en: string, zh: string]>;
