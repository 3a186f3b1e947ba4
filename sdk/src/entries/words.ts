/** `tautline/words`: sentences for people, and hints for developers. */

export { hint, type HintOptions } from '../hints.js';
export { WORDS_EN, WORDS_ZH, type Messages as Words } from '../messages.js';
