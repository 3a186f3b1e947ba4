// What a screen shows of a room: its events, folded. The web page and the mini program share this file.
// examples/gold/rules/src/view.rs does the same; the same events give the same view in both.

/**
 * @typedef {{ number: number, seat: number, ends_at: number }} Turn
 * @typedef {{ width: number, height: number, gold: number, seats: number }} Settings
 * @typedef {{ player: string, name: string, score: number, is_away: boolean, has_left: boolean }} Seat
 * @typedef {object} View
 * @property {number} n the number of the last event in it
 * @property {Settings} settings
 * @property {'waiting' | 'playing' | 'over'} phase
 * @property {Turn} [turn] while playing
 * @property {string} [why] when over
 * @property {Seat[]} seats
 * @property {string} cells a character each: `.` not open, `*` gold, or the gold around it
 *
 * @typedef {object} GameEvent
 * @property {number} n the first is 1
 * @property {number} at
 * @property {'opened' | 'joined' | 'started' | 'dug' | 'passed' | 'away' | 'back' | 'left' | 'resumed' | 'ended'} type
 * @property {number} [seat]
 * @property {string} [player]
 * @property {string} [name]
 * @property {Settings} [settings]
 * @property {number} [cell]
 * @property {[number, number][]} [opened]
 * @property {number} [points]
 * @property {Turn | null} [turn]
 * @property {string} [why]
 */

/** The value of a cell with gold. */
var GOLD = 9;

/** Events that may wait for a view; beyond it the view is asked for once more. */
var EARLY_MAX = 1000;

/** How long after a view that the server could not give it is asked for again. */
var ASK_AGAIN_MS = 2000;

/** Refusals that may be none the next time. */
var PASSING = ['unavailable', 'overloaded', 'timeout', 'rate_limited', 'in_doubt'];

/**
 * The view that a room's first event makes.
 * @param {GameEvent} opened
 * @returns {View}
 */
function viewOf(opened) {
  var settings = opened.settings || { width: 10, height: 10, gold: 20, seats: 2 };
  var cells = new Array(settings.width * settings.height + 1).join('.');
  return { n: opened.n, settings: settings, phase: 'waiting', seats: [], cells: cells };
}

/**
 * Takes the next event in. False: it is not the next one, and nothing has changed.
 * @param {View} view
 * @param {GameEvent} event
 */
function applyEvent(view, event) {
  if (event.n !== view.n + 1) return false;
  view.n = event.n;
  var seat = event.seat === undefined ? undefined : view.seats[event.seat];
  if (event.type === 'joined' && event.seat !== undefined) {
    var player = { player: event.player || '', name: event.name || '', score: 0, is_away: false, has_left: false };
    view.seats[Math.min(event.seat, view.seats.length)] = player;
  }
  if (event.type === 'dug' && seat) {
    seat.score += event.points || 0;
    view.cells = openCells(view.cells, event.opened || []);
  }
  if (event.type === 'away' && seat) seat.is_away = true;
  if (event.type === 'back' && seat) seat.is_away = false;
  if (event.type === 'left' && seat) seat.has_left = true;
  if (event.type === 'resumed')
    view.seats.forEach(function (each) {
      if (!each.has_left) each.is_away = true;
    });
  if (event.turn) {
    view.phase = 'playing';
    view.turn = event.turn;
  }
  if (event.type === 'ended') {
    view.phase = 'over';
    view.why = event.why;
    delete view.turn;
  }
  return true;
}

/**
 * @param {string} cells
 * @param {[number, number][]} opened
 */
function openCells(cells, opened) {
  var list = cells.split('');
  opened.forEach(function (pair) {
    if (pair[0] < list.length) list[pair[0]] = pair[1] === GOLD ? '*' : String(pair[1]);
  });
  return list.join('');
}

/**
 * Gold that nobody has found.
 * @param {View} view
 */
function goldLeft(view) {
  return view.seats.reduce(function (left, seat) {
    return left - seat.score;
  }, view.settings.gold);
}

/**
 * The seat of a player who is in the game; -1: a spectator.
 * @param {View} view
 * @param {string} player
 */
function seatOf(view, player) {
  for (var seat = 0; seat < view.seats.length; seat++)
    if (view.seats[seat].player === player && !view.seats[seat].has_left) return seat;
  return -1;
}

/**
 * Whether it is this player's turn.
 * @param {View} view
 * @param {string} player
 */
function isTurnOf(view, player) {
  return view.turn !== undefined && view.turn.seat === seatOf(view, player);
}

/**
 * Of those who have stayed, the seats with the most gold.
 * @param {View} view
 */
function winners(view) {
  if (view.why === 'broken') return [];
  var stayed = view.seats.filter(function (seat) {
    return !seat.has_left;
  });
  var best = stayed.reduce(function (most, seat) {
    return Math.max(most, seat.score);
  }, 0);
  return stayed.filter(function (seat) {
    return best > 0 && seat.score === best;
  });
}

/**
 * Follows a room: each event once and in order, from the first. `line` is a line of Tautline, or of a page of a mini program.
 *
 * @param {{ subscribe: Function }} line
 * @param {(room: string) => Promise<View>} ask asks the server for the view (`gold.view`)
 * @param {string} room
 * @param {(view: View, event?: GameEvent) => void} show is called after each change; without an event, all is new
 * @param {(error: { code?: string }) => void} [fail] there is no such room, or the server does not answer
 */
function follow(line, ask, room, show, fail) {
  /** @type {View | undefined} */
  var view;
  // Those that came before the view that they follow.
  /** @type {GameEvent[]} */
  var early = [];
  var isAsking = false;
  var isOver = false;
  /** @type {any} */
  var again;

  /** @param {GameEvent} event */
  function take(event) {
    if (!view && event.n === 1) {
      view = viewOf(event);
      return show(view, event);
    }
    if (view && view.phase === 'over') return;
    // An end that does not follow: what was told here is not what the server has, and the server ends the game.
    if (view && event.n <= view.n && event.type !== 'ended') return;
    if (view && applyEvent(view, event)) return show(view, event);
    if (early.length < EARLY_MAX) early.push(event);
    askForView();
  }

  // The log no longer holds what is missing: the server does.
  function askForView() {
    if (isAsking || isOver) return;
    isAsking = true;
    ask(room).then(
      function (fresh) {
        isAsking = false;
        if (isOver) return;
        if (!view || fresh.n > view.n || fresh.phase === 'over') {
          view = fresh;
          show(view);
        }
        var next = early;
        early = [];
        next.forEach(take);
      },
      function (error) {
        isAsking = false;
        if (isOver) return;
        if (PASSING.indexOf(error.code) >= 0) again = setTimeout(askForView, ASK_AGAIN_MS);
        else early = [];
        if (fail) fail(error);
      },
    );
  }

  var subscription = line.subscribe('gold:' + room, {
    from: 'start',
    /** @param {{ data: GameEvent }} publication */
    onPublication: function (publication) {
      take(publication.data);
    },
    onGap: askForView,
    /** @param {{ recovering: number }} subscribed */
    onSubscribed: function (subscribed) {
      // A room whose log is gone, or none at all.
      if (!view && !subscribed.recovering) askForView();
    },
  });
  return {
    end: function () {
      isOver = true;
      clearTimeout(again);
      subscription.unsubscribe();
    },
  };
}

module.exports = { GOLD, viewOf, applyEvent, goldLeft, seatOf, isTurnOf, winners, follow };
