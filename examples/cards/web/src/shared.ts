/** What the page shares with the mini program. */

export { emptyShop, followInbox, followOrders } from '../../mini/shop.js';
export type { Card, Message, Order, Shop } from '../../mini/shop.js';
export { makeTaps } from '../../mini/taps.js';
export type { Tap } from '../../mini/taps.js';
export { aboutTap, itemOf, outcomeOf, speaks, tail, wordOf } from '../../mini/words.js';
export type { Language, Word } from '../../mini/words.js';
