/** The field as a grid that a finger, a keyboard and a screen reader can dig in. */

import { say } from './device.ts';
import { element } from '../../../element.ts';
import type { GameEvent, View } from './shared.ts';

/** From one cell of an opened neighbourhood to the next. */
const RIPPLE_MS = 14;

export class Board {
  readonly root: HTMLElement;
  private readonly cells: HTMLButtonElement[] = [];
  private readonly width: number;
  private shown = '';
  private focused = 0;

  constructor(
    view: View,
    private readonly dig: (cell: number) => void,
  ) {
    const { width, height } = view.settings;
    this.width = width;
    const rows = Array.from({ length: height }, (_, row) => {
      const cells = Array.from({ length: width }, (_, column) => this.cell(row * width + column));
      return element('div', { role: 'row', class: 'row' }, ...cells);
    });
    this.root = element(
      'div',
      { role: 'grid', class: 'board', 'aria-label': say('field'), 'aria-rowcount': height, 'aria-colcount': width },
      ...rows,
    );
    this.root.style.setProperty('--columns', String(width));
    this.root.style.setProperty('--rows', String(height));
    this.root.addEventListener('keydown', (event) => this.move(event));
    this.show(view);
  }

  /** What is new since the last time opens one after the other, beginning where somebody dug. */
  show(view: View, event?: GameEvent): void {
    const order = new Map((event?.opened ?? []).map(([cell], index) => [cell, index]));
    for (const [cell, button] of this.cells.entries()) {
      const sign = view.cells[cell]!;
      if (sign === this.shown[cell]) continue;
      button.dataset['sign'] = sign;
      button.textContent = sign === '.' || sign === '0' || sign === '*' ? '' : sign;
      if (sign === '*' && event?.seat !== undefined) button.dataset['seat'] = String(event.seat);
      button.style.setProperty('--wait', `${(order.get(cell) ?? 0) * RIPPLE_MS}ms`);
      button.classList.toggle('fresh', order.has(cell));
      button.setAttribute('aria-label', this.label(cell, sign));
    }
    this.shown = view.cells;
    if (event?.cell !== undefined) {
      this.cells.forEach((button) => button.classList.remove('last'));
      this.cells[event.cell]?.classList.add('last');
    }
  }

  /** Whether digging does anything now. */
  set mayDig(may: boolean) {
    this.root.classList.toggle('mine', may);
    this.root.setAttribute('aria-disabled', String(!may));
  }

  private cell(cell: number): HTMLButtonElement {
    const button = element('button', {
      type: 'button',
      role: 'gridcell',
      class: 'cell',
      tabindex: cell === 0 ? 0 : -1,
      onclick: () => {
        this.focus(cell);
        if (this.shown[cell] === '.') this.dig(cell);
      },
    });
    this.cells[cell] = button;
    return button;
  }

  private label(cell: number, sign: string): string {
    const place = { row: Math.floor(cell / this.width) + 1, column: (cell % this.width) + 1 };
    if (sign === '.') return say('covered', place);
    return sign === '*' ? say('found', place) : say('opened', { ...place, n: sign });
  }

  private move(event: KeyboardEvent): void {
    const row = Math.floor(this.focused / this.width);
    const first = row * this.width;
    const to: Record<string, number> = {
      ArrowLeft: Math.max(first, this.focused - 1),
      ArrowRight: Math.min(first + this.width - 1, this.focused + 1),
      ArrowUp: this.focused - this.width,
      ArrowDown: this.focused + this.width,
      Home: first,
      End: first + this.width - 1,
    };
    const cell = to[event.key];
    if (cell === undefined) return;
    event.preventDefault();
    if (this.cells[cell]) this.focus(cell);
  }

  /** One cell is in the order of tabs, and arrows move from there. */
  private focus(cell: number): void {
    this.cells[this.focused]?.setAttribute('tabindex', '-1');
    this.focused = cell;
    this.cells[cell]?.setAttribute('tabindex', '0');
    this.cells[cell]?.focus();
  }
}
