/** The gateway between the phones: the lines to it, the rate of publications, the drain. */

import { RATE_MAX } from '../settings.ts';
import type { Dictionary } from '../words.ts';
import { element, write } from './element.ts';

export class GatewayView {
  readonly root: HTMLElement;
  private readonly log = element('output', { class: 'log' }, '0');
  private readonly rate = element('output', { class: 'rate' });

  constructor(
    private readonly dictionary: Dictionary,
    rate: number,
    setRate: (perSecond: number) => void,
    drain: () => void,
  ) {
    const { words } = dictionary;
    const slider = element('input', {
      type: 'range',
      name: 'rate',
      min: '0',
      max: String(RATE_MAX),
      value: String(rate),
      'aria-label': words.rate,
      input: () => {
        write(this.rate, slider.value);
        setRate(Number(slider.value));
      },
    }) as HTMLInputElement;
    write(this.rate, String(rate));
    this.root = element(
      'article',
      { class: 'gateway' },
      element('div', { class: 'wire a' }, element('b')),
      element(
        'div',
        { class: 'box' },
        element('h2', {}, words.gateway),
        this.log,
        element('small', {}, words.gateway_hint),
        element('button', { name: 'drain', title: words.drain_hint, click: drain }, words.drain),
        element('small', { class: 'hint' }, words.drain_hint),
      ),
      element('div', { class: 'wire b' }, element('b')),
      element('label', { class: 'rate-of' }, element('span', {}, this.rate, ' ', words.rate), slider),
    );
  }

  /** `offset`: of the newest publication that is known. */
  draw(offset: number): void {
    write(this.log, `#${this.dictionary.number(offset)}`);
  }

  /** How the line to a phone looks. */
  drawWire(phone: string, look: 'up' | 'down' | 'dead' | 'slow' | 'asleep'): void {
    const wire = this.root.querySelector<HTMLElement>(`.wire.${phone}`);
    if (wire) wire.dataset['look'] = look;
  }
}
