// What the pages show of a view: data for their templates.

const { isTurnOf, goldLeft, seatOf, winners } = require('./game');

/**
 * @param {import('./game').View} view
 */
function rowsOf(view) {
  const { width, height } = view.settings;
  const rows = [];
  for (let row = 0; row < height; row++) {
    const cells = [];
    for (let column = 0; column < width; column++) {
      const cell = row * width + column;
      const sign = view.cells[cell];
      cells.push({ cell, sign, shown: sign === '.' || sign === '0' || sign === '*' ? '' : sign });
    }
    rows.push(cells);
  }
  return rows;
}

/**
 * @param {import('./types').Say} say
 * @param {import('./game').View} view
 * @param {string} player
 */
function headlineOf(say, view, player) {
  if (view.phase === 'waiting') {
    const here = view.seats.filter((seat) => !seat.has_left).length;
    return say('waiting', { n: here, max: view.settings.seats });
  }
  if (view.phase === 'over') {
    const best = winners(view).map((seat) => seat.name);
    if (!best.length) return say(/** @type {import('./words').Word} */ ('over_' + view.why));
    return say(best.length === 1 ? 'wins' : 'draw', { name: best.join(', ') });
  }
  const turn = view.turn;
  if (isTurnOf(view, player)) return say('yourTurn');
  return say('turnOf', { name: turn ? view.seats[turn.seat].name : '' });
}

/**
 * @param {import('./types').Say} say
 * @param {import('./game').View} view
 * @param {string} player
 */
function dataOf(say, view, player) {
  const seated = seatOf(view, player) >= 0;
  return {
    rows: rowsOf(view),
    headline: headlineOf(say, view, player),
    isMine: isTurnOf(view, player),
    isOver: view.phase === 'over',
    mayJoin: view.phase === 'waiting' && !seated,
    mayStart: view.phase === 'waiting' && seated && view.seats.filter((seat) => !seat.has_left).length >= 2,
    mayLeave: view.phase !== 'over' && seated,
    left: say('goldLeft', { n: goldLeft(view) }),
    seats: view.seats.map((seat, index) => ({
      index,
      name: seat.name,
      score: seat.score,
      isOn: view.turn !== undefined && view.turn.seat === index,
      state: seat.has_left ? say('left') : seat.is_away ? say('away') : seat.player === player ? say('you') : '',
    })),
  };
}

module.exports = { dataOf };
