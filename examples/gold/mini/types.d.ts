// Types for the checks of the editor and of the tests; nothing of it runs.

import type { Tautline } from 'tautline/wechat';
import type { Word } from './words';

export type Line = Tautline;
export type Say = (word: Word, values?: { [name: string]: string | number }) => string;

/** The app, as pages see it. */
export interface GoldApp {
  line: Line;
  say: Say;
  /** The user's id, once the gateway has told it. */
  player: string;
}

/** What the server gave a new player. */
export interface Account {
  player: string;
  token: string;
}
