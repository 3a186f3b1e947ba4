/** The lists of the page, and what became of each tap. */

import { language, say } from './device.ts';
import { element, write } from '../../../element.ts';
import { aboutTap, itemOf, outcomeOf, tail, wordOf, type makeTaps, type Message, type Order, type Shop, type Tap } from './shared.ts';

type Taps = ReturnType<typeof makeTaps>;

const ITEMS = ['tea', 'coffee', 'cup'];
const STEPS = [0, 1, 2, 3] as const;

/** The form that binds a card. The number leaves the form at once; what becomes of it is seen in the strip of taps. */
export function cardForm(taps: Taps): HTMLElement {
  const input = element('input', {
    id: 'number',
    inputmode: 'numeric',
    autocomplete: 'off',
    maxlength: 23,
    required: true,
    placeholder: say('number'),
    'aria-label': say('number'),
  });
  const submit = (event: Event) => {
    event.preventDefault();
    taps.tap('card.bind', { number: input.value.replace(/\s/g, '') });
    input.value = '';
  };
  return element('form', { class: 'bind', onsubmit: submit }, input, element('button', { class: 'primary' }, say('bind')));
}

/** Writes rows whose text has changed, and leaves the others: a button that is being tapped stays. */
function fill(list: HTMLElement, rows: [key: string, version: string, make: () => HTMLElement][], none?: string): void {
  const before = new Map([...list.children].map((row) => [(row as HTMLElement).dataset['key'], row as HTMLElement]));
  const wanted = rows.map(([key, version, make]) => {
    const kept = before.get(key);
    if (kept?.dataset['version'] === version) return kept;
    const row = make();
    Object.assign(row.dataset, { key, version });
    return row;
  });
  if (!wanted.length && none) wanted.push(element('li', { class: 'none' }, none));
  wanted.forEach((row, index) => {
    if (list.children[index] !== row) list.insertBefore(row, list.children[index] ?? null);
  });
  while (list.children.length > wanted.length) list.lastChild!.remove();
}

/** What was tapped, and what became of it. */
export function showTaps(strip: HTMLElement, taps: Taps, isOnline: boolean): void {
  fill(
    strip,
    taps.list().map((tap) => {
      const outcome = outcomeOf(say, tap, isOnline);
      const dismiss = () => element('button', { type: 'button', onclick: () => taps.dismiss(tap.key) }, say('dismiss'));
      const make = () =>
        element('li', { class: tap.state }, element('b', {}, aboutTap(say, tap)), element('span', {}, outcome), tap.state === 'refused' && dismiss());
      return [tap.key, outcome, make];
    }),
  );
}

export function showCards(list: HTMLElement, shop: Shop, taps: Taps): void {
  const buy = (card: string) =>
    ITEMS.map((item) => element('button', { type: 'button', onclick: () => taps.tap('order.place', { card, item }) }, itemOf(say, item)));
  fill(
    list,
    shop.cards.map(({ number }) => [
      number,
      '',
      () =>
        element(
          'li',
          { class: `card hue-${Number(number.slice(-1)) % 5}` },
          element('span', { class: 'member' }, say('member')),
          element('span', { class: 'number' }, grouped(number)),
          element('span', { class: 'buy' }, element('small', {}, say('buy')), ...buy(number)),
        ),
    ]),
    say('noCards'),
  );
}

export function showOrders(list: HTMLElement, shop: Shop, taps: Taps): void {
  const isOpen = (tap: Tap) => tap.state === 'sending' || tap.state === 'waiting';
  fill(
    list,
    shop.orders.map((order) => {
      const next = order.step + 1;
      const isBusy = taps.list().some((tap) => isOpen(tap) && tap.data['order'] === order.id);
      return [order.id, `${order.step} ${isBusy}`, () => orderRow(order, isBusy, () => taps.tap('order.advance', { order: order.id, step: next }))];
    }),
    say('noOrders'),
  );
}

function orderRow(order: Order, isBusy: boolean, advance: () => void): HTMLElement {
  const isOver = order.step >= STEPS.length - 1;
  const button = element('button', { type: 'button', disabled: isBusy, onclick: advance }, say(wordOf(`do_${order.step + 1}`, 'orders')));
  const steps = STEPS.map((step) => element('i', { class: step <= order.step ? 'on' : '' }));
  return element(
    'li',
    { class: 'order' },
    element('span', { class: 'what' }, itemOf(say, order.item), element('small', {}, tail(order.card))),
    element('span', { class: 'steps' }, ...steps, element('small', {}, say(wordOf(`step_${order.step}`, 'orders')))),
    !isOver && button,
  );
}

export function showMessages(list: HTMLElement, shop: Shop): void {
  fill(
    list,
    shop.messages.map((message) => [message.id, '', () => messageRow(message)]),
    say('noMessages'),
  );
}

function messageRow({ about, sent_at: at }: Message): HTMLElement {
  const when: Intl.DateTimeFormatOptions = { month: 'short', day: 'numeric', hour: 'numeric', minute: '2-digit' };
  const time = new Date(at).toLocaleString(language() === 'zh' ? 'zh-CN' : 'en', when);
  const row = element('li', { class: 'message' }, element('span', {}), element('small', {}, time));
  write(row.firstElementChild!, say('shipped', { item: itemOf(say, about) }));
  return row;
}

function grouped(number: string): string {
  return number.replace(/(.{4})(?=.)/g, '$1 ');
}
