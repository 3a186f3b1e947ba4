/** The shared code: events folded, what is told of them, and a room that is followed. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  applyEvent,
  follow,
  goldLeft,
  isTurnOf,
  seatOf,
  speaks,
  tellEvent,
  viewOf,
  winners,
  wordOfState,
  type GameEvent,
  type View,
} from '../src/shared.ts';

const SETTINGS = { width: 4, height: 4, gold: 2, seats: 2 };
const EVENTS: GameEvent[] = [
  { n: 1, at: 0, type: 'opened', settings: SETTINGS },
  { n: 2, at: 1, type: 'joined', seat: 0, player: 'p1', name: 'Ann' },
  { n: 3, at: 2, type: 'joined', seat: 1, player: 'p2', name: '小波' },
  { n: 4, at: 2, type: 'started', turn: { number: 1, seat: 1, ends_at: 20_002 } },
  { n: 5, at: 3, type: 'dug', seat: 1, cell: 0, opened: [[0, 9]], points: 1, turn: { number: 2, seat: 0, ends_at: 20_003 } },
  { n: 6, at: 4, type: 'away', seat: 0 },
  { n: 7, at: 5, type: 'resumed', turn: { number: 2, seat: 0, ends_at: 20_005 } },
  { n: 8, at: 6, type: 'back', seat: 0 },
  { n: 9, at: 7, type: 'dug', seat: 0, cell: 15, opened: [[15, 0], [14, 1], [11, 2]], points: 0, turn: { number: 3, seat: 1, ends_at: 20_007 } },
  { n: 10, at: 20_007, type: 'passed', seat: 1, turn: { number: 4, seat: 0, ends_at: 40_007 } },
  { n: 11, at: 20_008, type: 'left', seat: 0, why: 'left', turn: null },
  { n: 12, at: 20_008, type: 'ended', why: 'deserted' },
];

function folded(count: number): View {
  const view = viewOf(EVENTS[0]!);
  for (const event of EVENTS.slice(1, count)) assert.ok(applyEvent(view, event));
  return view;
}

test('events in order make the view', () => {
  const view = folded(EVENTS.length);
  assert.deepEqual(view, {
    n: 12,
    settings: SETTINGS,
    phase: 'over',
    why: 'deserted',
    seats: [
      { player: 'p1', name: 'Ann', score: 0, is_away: false, has_left: true },
      { player: 'p2', name: '小波', score: 1, is_away: true, has_left: false },
    ],
    cells: '*..........2..10',
  });
  assert.equal(goldLeft(view), 1);
  assert.deepEqual(winners(view).map((seat) => seat.name), ['小波']);
});

test('event that comes again or too early changes nothing', () => {
  const view = folded(5);
  const before = structuredClone(view);
  assert.equal(applyEvent(view, EVENTS[4]!), false);
  assert.equal(applyEvent(view, EVENTS[6]!), false);
  assert.deepEqual(view, before);
});

test('turn is the turn of one player and of no spectator', () => {
  const view = folded(4);
  assert.deepEqual(['p1', 'p2', 'p3'].map((player) => isTurnOf(view, player)), [false, true, false]);
  assert.equal(seatOf(view, 'p3'), -1);
  const waiting = folded(3);
  assert.equal(isTurnOf(waiting, 'p3'), false);
});

test('every event and state has words in both languages', () => {
  for (const language of ['en', 'zh'] as const) {
    const say = speaks(language);
    const view = folded(EVENTS.length);
    for (const event of EVENTS.slice(1)) {
      const told = tellEvent(say, view, event);
      assert.ok(told && !/[{}]|undefined/.test(told), `${event.type}: ${told}`);
    }
    for (const state of ['idle', 'connecting', 'online', 'waiting', 'offline', 'hidden', 'stopped', 'closed'])
      assert.ok(say(wordOfState(state)));
  }
  assert.equal(tellEvent(speaks('zh'), folded(5), EVENTS[4]!), '小波 挖到金子');
});

/** A line that a test plays. */
function scripted() {
  const asked: string[] = [];
  let answer: (view: View) => void = () => {};
  let refuse: (error: object) => void = () => {};
  let handlers: { onPublication(publication: { data: GameEvent }): void; onGap(): void; onSubscribed(how: object): void } | undefined;
  const shown: [number, string | undefined][] = [];
  const line = {
    subscribe(channel: string, given: typeof handlers) {
      asked.push(channel);
      handlers = given;
      return { unsubscribe: () => asked.push('end') };
    },
  };
  const ask = (room: string) => {
    asked.push(`view ${room}`);
    return new Promise<View>((resolve, reject) => ((answer = resolve), (refuse = reject)));
  };
  const failed: unknown[] = [];
  const show = (view: View, event?: GameEvent) => shown.push([view.n, event?.type]);
  const followed = follow(line, ask, 'r', show, ({ code }) => failed.push(code));
  const take = (...numbers: number[]) =>
    numbers.forEach((n) => handlers!.onPublication({ data: structuredClone(EVENTS[n - 1]!) }));
  return {
    asked,
    shown,
    failed,
    take,
    publish: (event: GameEvent) => handlers!.onPublication({ data: event }),
    followed,
    gap: () => handlers!.onGap(),
    subscribed: (recovering: number) => handlers!.onSubscribed({ recovering }),
    answer: async (view: View) => (answer(view), void (await null)),
    refuse: async (code: string) => (refuse({ code }), void (await null)),
  };
}

test('followed room shows each event once, in order', () => {
  const { asked, shown, take, followed } = scripted();
  take(1, 2, 3, 3, 2, 4);
  assert.deepEqual(shown, [[1, 'opened'], [2, 'joined'], [3, 'joined'], [4, 'started']]);
  followed.end();
  assert.deepEqual(asked, ['gold:r', 'end']);
});

test('missing event makes the room ask for the view once', async () => {
  const { asked, shown, take, answer } = scripted();
  take(1, 2, 5, 6);
  assert.deepEqual(asked, ['gold:r', 'view r']);
  await answer(folded(6));
  take(6, 7);
  assert.deepEqual(shown, [[1, 'opened'], [2, 'joined'], [6, undefined], [7, 'resumed']]);
});

test('log without its beginning and a gap ask for the view', async () => {
  const late = scripted();
  late.take(5);
  assert.deepEqual(late.asked, ['gold:r', 'view r']);
  const cut = scripted();
  cut.take(1);
  cut.gap();
  await cut.answer(folded(8));
  cut.take(9);
  assert.deepEqual(cut.shown, [[1, 'opened'], [8, undefined], [9, 'dug']]);
});

test('view that is older than what is shown is left out', async () => {
  const { shown, take, gap, answer } = scripted();
  take(1, 2, 3);
  gap();
  take(4);
  await answer(folded(2));
  take(5);
  assert.deepEqual(shown.map(([n]) => n), [1, 2, 3, 4, 5]);
});

test('event that came before its view follows it', async () => {
  const { asked, shown, take, answer } = scripted();
  take(1, 4, 5);
  await answer(folded(4));
  assert.deepEqual(shown.map(([n]) => n), [1, 4, 5]);
  assert.deepEqual(asked, ['gold:r', 'view r']);
});

test('winner is the best of those who have stayed', () => {
  const view = folded(9);
  view.seats[0]!.score = 1;
  view.seats[1]!.has_left = true;
  assert.deepEqual(winners(view).map((seat) => seat.name), ['Ann']);
  view.seats[1]!.score = 5;
  assert.deepEqual(winners(view).map((seat) => seat.name), ['Ann']);
  view.seats[0]!.score = 0;
  assert.deepEqual(winners(view), []);
});

/** What the server has after `folded(5)` of another history, which it has ended. */
const BROKEN = (): View => ({ ...folded(4), phase: 'over', why: 'broken' });

test('end that follows nothing makes the room ask for the view', async () => {
  const { asked, shown, take, publish, answer } = scripted();
  take(1, 2, 3, 4, 5, 6);
  publish({ n: 4, at: 9, type: 'ended', why: 'broken' });
  assert.deepEqual(asked, ['gold:r', 'view r']);
  await answer(BROKEN());
  assert.deepEqual(shown.at(-1), [4, undefined]);
  // Nothing comes after an end, and nothing is asked.
  publish({ n: 4, at: 9, type: 'ended', why: 'broken' });
  take(7);
  assert.equal(shown.length, 7);
  assert.deepEqual(asked, ['gold:r', 'view r']);
});

test('broken game has words and no winner', () => {
  for (const language of ['en', 'zh'] as const)
    assert.ok(tellEvent(speaks(language), BROKEN(), { n: 5, at: 9, type: 'ended', why: 'broken' }));
  const view = { ...folded(6), phase: 'over' as const, why: 'broken' };
  assert.deepEqual(winners(view), []);
});

test('view that the server cannot give now is asked for again', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { asked, failed, shown, take, refuse, answer, followed } = scripted();
  take(1, 4);
  await refuse('unavailable');
  assert.deepEqual(failed, ['unavailable']);
  t.mock.timers.tick(2_000);
  assert.deepEqual(asked, ['gold:r', 'view r', 'view r']);
  await answer(folded(3));
  assert.deepEqual(shown.map(([n]) => n), [1, 3, 4]);
  take(6);
  await refuse('overloaded');
  followed.end();
  t.mock.timers.tick(9_000);
  assert.deepEqual(asked, ['gold:r', 'view r', 'view r', 'view r', 'end']);
});

test('room that is not there fails', async () => {
  const { failed, subscribed, refuse } = scripted();
  subscribed(0);
  await refuse('not_found');
  assert.deepEqual(failed, ['not_found']);
});
