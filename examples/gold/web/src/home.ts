/** The home page: open rooms and the best players, by plain HTTP. No line is open here. */

import { name, say, setName } from './device.ts';
import { element } from '../../../element.ts';
import { leaders, rooms, type Leader, type RoomSummary } from './server.ts';
import type { Settings } from './shared.ts';

/** How often the list is fetched while it is seen. */
const FETCH_EVERY_MS = 3_000;

/** What the home page leads to. */
export interface Ways {
  open(settings: Settings): void;
  join(room: string): void;
  watch(room: string): void;
}

/** Shows the page; the result ends it. */
export function showHome(main: HTMLElement, ways: Ways): () => void {
  const list = element('ul', { class: 'rooms' });
  const best = element('ol', { class: 'leaders' });
  const input = element('input', {
    id: 'name',
    maxlength: 24,
    autocomplete: 'nickname',
    placeholder: say('name'),
    'aria-label': say('name'),
    value: name(),
    oninput: () => setName(input.value.trim()),
  });
  const open = (seats: number) =>
    element(
      'button',
      { type: 'button', class: 'primary', onclick: () => ways.open({ width: 10, height: 10, gold: 20, seats }) },
      say('players', { n: seats }),
    );
  main.replaceChildren(
    element(
      'div',
      { class: 'home' },
      element('p', { class: 'tagline' }, say('tagline')),
      element(
        'section',
        { class: 'card new' },
        input,
        element('h2', {}, say('newRoom')),
        element('div', { class: 'choices' }, open(2), open(3), open(4)),
      ),
      element('section', { class: 'card' }, element('h2', {}, say('rooms')), list),
      element('section', { class: 'card' }, element('h2', {}, say('leaders')), best),
    ),
  );
  const fetchAll = async () => {
    if (document.hidden) return;
    // A list that cannot be fetched stays as it was; the next one is three seconds away.
    const [open, first] = await Promise.all([rooms(), leaders()].map((it) => it.catch(() => undefined)));
    if (open) showRooms(list, open as RoomSummary[], ways);
    if (first) showLeaders(best, first as Leader[]);
  };
  void fetchAll();
  const timer = setInterval(() => void fetchAll(), FETCH_EVERY_MS);
  return () => clearInterval(timer);
}

function showRooms(list: HTMLElement, open: RoomSummary[], ways: Ways): void {
  const rows = open.map((it) => {
    const { width, height, seats } = it.settings;
    const go = () => (it.is_waiting ? ways.join(it.room) : ways.watch(it.room));
    return element(
      'li',
      { 'data-room': it.room },
      element(
        'span',
        { class: 'who' },
        it.players.join(', ') || it.room,
        element('small', {}, `${it.players.length}/${seats} · ${width}×${height} · ${say('goldLeft', { n: it.gold_left })}`),
      ),
      element('button', { type: 'button', class: it.is_waiting ? 'primary' : '', onclick: go }, say(it.is_waiting ? 'join' : 'watch')),
    );
  });
  list.replaceChildren(...(rows.length ? rows : [element('li', { class: 'none' }, say('noRooms'))]));
}

function showLeaders(best: HTMLElement, first: Leader[]): void {
  const rows = first.slice(0, 8).map((leader) =>
    element(
      'li',
      {},
      element('span', { class: 'who' }, leader.name),
      element('small', {}, `${leader.won} ${say('won')} · ${leader.gold} ${say('gold')}`),
    ),
  );
  best.replaceChildren(...(rows.length ? rows : [element('li', { class: 'none' }, '–')]));
}
