/** `tautline/words`: sentences for people, and hints for developers. */

export { hint, type HintOptions } from '../hints.js';
export { WORDS_EN, WORDS_ZH, type Words } from '../words.js';
