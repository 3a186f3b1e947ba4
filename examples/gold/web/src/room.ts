/** The room: the board, the players, what happened. */

import { Board } from './board.ts';
import { named, say } from './device.ts';
import { element, write } from '../../../element.ts';
import { AGAIN, line, serverNow } from './server.ts';
import { follow, goldLeft, isTurnOf, seatOf, tellEvent, winners, type GameEvent, type View } from './shared.ts';

/** Lines of the list of moves. */
const MOVES_MAX = 40;
/** How often the clock of a turn moves. */
const CLOCK_EVERY_MS = 200;
const TURN_MS = 20_000;

/** A room that is shown. Browser tests read `view`. */
export class RoomView {
  view: View | undefined;
  /** What was told, in order. */
  readonly told: string[] = [];
  private board: Board | undefined;
  private readonly players = element('ul', { class: 'players' });
  private readonly headline = element('p', { class: 'headline' });
  private readonly field = element('div', { class: 'field' });
  private readonly moves = element('ol', { class: 'moves', 'aria-label': say('moves') });
  private readonly actions = element('div', { class: 'actions' });
  private readonly followed: { end(): void };
  private readonly clock: ReturnType<typeof setInterval>;

  constructor(
    main: HTMLElement,
    readonly room: string,
    private readonly player: string,
    private readonly leave: () => void,
  ) {
    main.replaceChildren(
      element(
        'div',
        { class: 'room' },
        element('div', { class: 'table' }, this.headline, this.field),
        element('aside', {}, this.players, this.actions, this.moves),
      ),
    );
    const ask = (asked: string) => line().call('gold.view', { room: asked }, AGAIN) as Promise<View>;
    this.followed = follow(line(), ask, room, (view, event) => this.show(view, event), (error) => this.fail(error));
    this.clock = setInterval(() => this.tick(), CLOCK_EVERY_MS);
  }

  end(): void {
    clearInterval(this.clock);
    this.followed.end();
  }

  private show(view: View, event?: GameEvent): void {
    this.view = view;
    if (!this.board) {
      this.board = new Board(view, (cell) => this.dig(cell));
      this.field.replaceChildren(this.board.root);
    }
    this.board.show(view, event);
    this.board.mayDig = isTurnOf(view, this.player);
    write(this.headline, this.headlineOf(view));
    this.headline.classList.toggle('mine', isTurnOf(view, this.player));
    this.showPlayers(view);
    this.showActions(view);
    const told = event ? tellEvent(say, view, event) : '';
    if (told) this.tell(told, event);
    this.tick();
  }

  private fail({ code }: { code?: string }): void {
    if (this.view) return;
    write(this.headline, say(code === 'not_found' ? 'noSuchRoom' : 'noAnswer'));
    this.actions.replaceChildren(element('button', { type: 'button', onclick: this.leave }, say('home')));
  }

  private headlineOf(view: View): string {
    if (view.phase === 'waiting')
      return say('waiting', { n: view.seats.filter((seat) => !seat.has_left).length, max: view.settings.seats });
    if (view.phase === 'over') {
      const best = winners(view).map((seat) => seat.name);
      if (!best.length) return say(`over_${view.why}` as 'over_idle');
      return say(best.length === 1 ? 'wins' : 'draw', { name: best.join(', ') });
    }
    const turn = view.turn;
    return isTurnOf(view, this.player) ? say('yourTurn') : say('turnOf', { name: turn ? view.seats[turn.seat]!.name : '' });
  }

  private showPlayers(view: View): void {
    const rows = view.seats.map((seat, index) => {
      const isOn = view.turn?.seat === index;
      const state = seat.has_left ? say('left') : seat.is_away ? say('away') : seat.player === this.player ? say('you') : '';
      return element(
        'li',
        { 'data-seat': index, class: `${isOn ? 'on' : ''} ${seat.is_away || seat.has_left ? 'gone' : ''}`, 'aria-current': isOn },
        element('span', { class: 'who' }, seat.name, state && element('small', {}, state)),
        element('strong', { 'aria-label': `${seat.score} ${say('gold')}` }, String(seat.score)),
        element('i', { class: 'clock', 'aria-hidden': 'true' }),
      );
    });
    const left = element('li', { class: 'rest' }, say('goldLeft', { n: goldLeft(view) }));
    this.players.replaceChildren(...rows, left);
  }

  private showActions(view: View): void {
    const seated = seatOf(view, this.player) >= 0;
    const button = (word: 'start' | 'leave' | 'home' | 'share' | 'join', act: () => void, style = '') =>
      element('button', { type: 'button', class: style, 'data-act': word, onclick: act }, say(word));
    const here = view.seats.filter((seat) => !seat.has_left).length;
    const children = [
      view.phase === 'waiting' && seated && here >= 2 && button('start', () => this.call('gold.start'), 'primary'),
      view.phase === 'waiting' && !seated && button('join', () => this.join(), 'primary'),
      view.phase === 'waiting' && button('share', () => void navigator.clipboard?.writeText(location.href)),
      view.phase !== 'over' && seated && button('leave', () => this.give(), 'quiet'),
      (view.phase === 'over' || !seated) && button('home', this.leave),
      view.phase === 'playing' && !seated && element('span', { class: 'note' }, say('watching')),
    ];
    // What has not changed stays, and so does the focus on it.
    const made = children.filter((child): child is HTMLElement => Boolean(child));
    const key = made.map((child) => child.textContent).join('|');
    if (this.actions.dataset['key'] === key) return;
    this.actions.dataset['key'] = key;
    this.actions.replaceChildren(...made);
  }

  private tell(told: string, event?: GameEvent): void {
    this.told.push(told);
    this.moves.prepend(element('li', { 'data-seat': event?.seat, class: event?.points ? 'lucky' : '' }, told));
    while (this.moves.children.length > MOVES_MAX) this.moves.lastElementChild?.remove();
    write(document.getElementById('told')!, `${told}. ${this.headline.textContent}`);
  }

  private tick(): void {
    const turn = this.view?.turn;
    const left = turn ? Math.max(0, Math.min(1, (turn.ends_at - serverNow()) / TURN_MS)) : 0;
    this.players.style.setProperty('--left', String(left));
    this.players.classList.toggle('hurry', turn !== undefined && left < 0.25);
  }

  private dig(cell: number): void {
    const turn = this.view?.turn;
    if (!turn || !this.view || !isTurnOf(this.view, this.player)) return;
    this.board!.mayDig = false;
    // A refused dig changes nothing: the board shows what is so. A repeated one counts once.
    const dug = line().call('gold.dig', { room: this.room, turn: turn.number, cell }, AGAIN);
    dug.catch(() => this.view && this.show(this.view));
  }

  private call(method: 'gold.start' | 'gold.leave'): void {
    line()
      .call(method, { room: this.room }, AGAIN)
      .catch(() => undefined);
  }

  private join(): void {
    line()
      .call('gold.join', { room: this.room, name: named() }, AGAIN)
      .catch(() => undefined);
  }

  private give(): void {
    this.call('gold.leave');
    this.leave();
  }
}
