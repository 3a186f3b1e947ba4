/** The list of drops: why, and for how long. */

import type { Outage } from '../outages.ts';
import type { Dictionary } from '../words.ts';
import { element } from './element.ts';

/** The newest ones; older ones are still on the chart. */
const SHOWN = 6;

export class DropsView {
  private readonly list = element('ol');
  private drawn = '';

  constructor(
    root: HTMLElement,
    private readonly dictionary: Dictionary,
  ) {
    root.append(element('h2', {}, dictionary.words.drops), this.list);
  }

  draw(now: number, outages: Outage[]): void {
    const lines = outages.slice(-SHOWN).reverse().map((outage) => this.describe(now, outage));
    const key = JSON.stringify(lines);
    if (key === this.drawn && this.list.childElementCount) return;
    this.drawn = key;
    const items = lines.map(({ phone, cause, words, message, length, open }) =>
      element(
        'li',
        { 'data-cause': cause, class: open ? 'open' : 'over', title: message ? `${cause}: ${message}` : cause },
        element('b', { class: phone }, phone.toUpperCase()),
        element('span', {}, words, element('small', {}, length)),
      ),
    );
    if (!items.length) items.push(element('li', { class: 'none' }, this.dictionary.words.no_drops));
    this.list.replaceChildren(...items);
  }

  private describe(now: number, { phone, cause, message, from, until, caughtUp }: Outage) {
    const { words } = this.dictionary;
    const down = `${until ? words.was_down : words.still_down} ${this.dictionary.seconds((until ?? now) - from)}`;
    const caught = caughtUp ? ` · ${words.caught_up} ${this.dictionary.number(caughtUp)}` : '';
    return { phone, cause, words: this.dictionary.cause(cause), message, length: down + caught, open: !until };
  }
}
