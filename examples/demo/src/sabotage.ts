/** Spoils what a phone is given, so that anybody can see the counters count. Only with `?sabotage=…`. */

import type { PublicationOutput } from 'tautline';
import type { Settings } from './settings.ts';

/** One publication in so many is spoilt. */
const EVERY = 20;

type Hand = (publication: PublicationOutput) => void;

export function spoil(sabotage: Settings['sabotage'], hand: Hand): Hand {
  if (sabotage === 'none') return hand;
  let count = 0;
  let held: PublicationOutput | undefined;
  return (publication) => {
    const spoilt = ++count % EVERY === 0;
    if (spoilt && sabotage === 'drop') return;
    if (spoilt && sabotage === 'reorder') {
      held = publication;
      return;
    }
    hand(publication);
    if (spoilt && sabotage === 'double') hand(publication);
    if (held) hand(held);
    held = undefined;
  };
}
