/** What the ledger says, in numbers that are meant to stay 0 and numbers that are meant to grow. */

import type { Figures } from '../ledger.ts';
import type { Dictionary } from '../words.ts';
import { element, write } from './element.ts';

const VERDICT = ['lost', 'doubled', 'reordered'] as const;
const VOLUME = ['sent', 'received', 'underway', 'asked', 'settled', 'twice'] as const;
type Name = (typeof VERDICT)[number] | (typeof VOLUME)[number];

export class ProofView {
  private readonly outputs = new Map<Name, HTMLElement>();

  constructor(
    root: HTMLElement,
    private readonly dictionary: Dictionary,
  ) {
    root.append(this.makeList('verdict', VERDICT), this.makeList('volume', VOLUME));
  }

  draw(figures: Figures, executedTwice: number): void {
    const { lost, doubled, reordered, sent, received, underway, asked, settled } = figures;
    const twice = figures.settledTwice + figures.publishedTwice + executedTwice;
    const numbers: Record<Name, number> = { lost, doubled, reordered, sent, received, underway, asked, settled, twice };
    for (const [name, output] of this.outputs) {
      write(output, this.dictionary.number(numbers[name]));
      output.classList.toggle('wrong', numbers[name] > 0 && (VERDICT.includes(name as never) || name === 'twice'));
    }
  }

  private makeList(look: string, names: readonly Name[]): HTMLElement {
    const items = names.map((name) => {
      const output = element('dd', { 'data-figure': name }, '0');
      this.outputs.set(name, output);
      return element('div', {}, output, element('dt', {}, this.dictionary.words[name]));
    });
    return element('dl', { class: look }, ...items);
  }
}
