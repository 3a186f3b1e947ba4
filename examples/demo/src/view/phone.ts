/** One phone on the page, with its switches. */

import type { Phone, Switches } from '../phone.ts';
import type { Dictionary } from '../words.ts';
import { element, write } from './element.ts';

type SwitchName = keyof Switches;
const SWITCHES: SwitchName[] = ['cable', 'half_open', 'slow', 'hidden'];

/** How long a tap of the other phone is seen. */
const PULSE_MS = 600;

export class PhoneView {
  readonly root: HTMLElement;
  private readonly state = element('span', { class: 'state' });
  private readonly counter = element('output', { class: 'counter' }, '0');
  private readonly underway = element('dd', { class: 'underway' });
  private readonly heard = element('dd');
  private readonly answer = element('dd');
  private readonly clock = element('span');
  private readonly inputs = new Map<SwitchName, HTMLInputElement>();

  constructor(
    private readonly phone: Phone,
    private readonly dictionary: Dictionary,
  ) {
    const { words } = dictionary;
    const row = (name: string, value: HTMLElement) => element('div', {}, element('dt', {}, name), value);
    const screen = element(
      'div',
      { class: 'screen' },
      element('div', { class: 'bar' }, this.clock, element('i', { class: 'signal' })),
      element('div', { class: 'title' }, `${words.phone} ${phone.name.toUpperCase()}`, this.state),
      this.counter,
      element('small', {}, words.counter),
      element('button', { class: 'tap', click: () => phone.tap() }, words.tap),
      element('dl', {}, row(words.unconfirmed, this.underway), row(words.heard, this.heard), row(words.answer, this.answer)),
    );
    this.root = element(
      'article',
      { class: 'set', 'data-phone': phone.name },
      element('div', { class: 'phone' }, screen),
      element('div', { class: 'switches' }, ...SWITCHES.map((name) => this.makeSwitch(name))),
    );
  }

  draw(now: number): void {
    const { phone, dictionary } = this;
    const { state } = phone.line;
    const inSeconds = phone.retryAt ? Math.max(0, phone.retryAt - now) : 0;
    const retry = state === 'waiting' && inSeconds >= 100 ? ` · ${dictionary.seconds(inSeconds)}` : '';
    this.root.dataset['state'] = state;
    for (const [name, input] of this.inputs) {
      input.checked = phone.switches[name];
      this.root.classList.toggle(name, phone.switches[name]);
    }
    write(this.state, dictionary.state(state) + retry);
    write(this.counter, dictionary.number(phone.counter));
    write(this.underway, dictionary.number(phone.underway));
    this.underway.classList.toggle('many', phone.underway > 5);
    write(this.heard, latency(phone.heardMs));
    write(this.answer, latency(phone.callMs));
    write(this.clock, new Date(now).toTimeString().slice(0, 5));
  }

  /** Somebody tapped. */
  pulse(from: string): void {
    const colour = `var(--${from})`;
    this.counter.animate([{ color: colour, transform: 'scale(1.08)' }, {}], { duration: PULSE_MS, easing: 'ease-out' });
  }

  private makeSwitch(name: SwitchName): HTMLElement {
    const { phone, dictionary } = this;
    const input = element('input', {
      type: 'checkbox',
      role: 'switch',
      name,
      change: () => void this.turn(name, input.checked),
    }) as HTMLInputElement;
    this.inputs.set(name, input);
    const { words } = dictionary;
    const text = element('span', {}, words[name], element('small', {}, words[`${name}_hint`]));
    return element('label', { 'data-switch': `${phone.name}-${name}` }, input, element('i'), text);
  }

  private turn(name: SwitchName, on: boolean): Promise<void> {
    switch (name) {
      case 'cable':
        return this.phone.pullCable(on);
      case 'half_open':
        return this.phone.halfOpen(on);
      case 'slow':
        return this.phone.slow(on);
      case 'hidden':
        return this.phone.background(on);
    }
  }
}

function latency(ms: number | undefined): string {
  if (ms === undefined) return '–';
  return ms < 1000 ? `${Math.max(1, Math.round(ms))} ms` : `${(ms / 1000).toFixed(1)} s`;
}
