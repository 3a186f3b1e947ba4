/** What the page shares with the mini program. */

export { GOLD, applyEvent, follow, goldLeft, isTurnOf, seatOf, viewOf, winners } from '../../mini/game.js';
export type { GameEvent, Settings, View } from '../../mini/game.js';
export { speaks, tellEvent, wordOfState } from '../../mini/words.js';
export type { Language, Word } from '../../mini/words.js';
