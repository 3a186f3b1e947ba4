// Types for the checks of the editor and of the tests; nothing of it runs.

import type { Tautline } from 'tautline/wechat';
import type { makeTaps } from './taps';
import type { Say } from './words';

export type Line = Tautline;

/** The app, as pages see it. */
export interface CardsApp {
  line: Line | undefined;
  taps: ReturnType<typeof makeTaps> | undefined;
  member: string;
  say: Say;
  /** Logs in, once; every page waits for it. */
  logIn(): Promise<string>;
  logOut(): void;
  /** Calls `tell` now and whenever a tap has changed, until the result is called. */
  onTaps(tell: () => void): () => void;
}
