/** Which rows of a long list are there: those in sight, and some above and below. Pure. */

export interface Window {
  first: number;
  end: number;
  /** Pixels that stand for the rows before and behind. */
  abovePx: number;
  belowPx: number;
}

const SPARE_ROWS = 12;

export function windowOf(rows: number, rowPx: number, scrollPx: number, heightPx: number): Window {
  const seen = Math.max(0, Math.floor(scrollPx / rowPx));
  const end = Math.min(rows, seen + Math.ceil(heightPx / rowPx) + SPARE_ROWS);
  // Behind the end, as after a search that finds less, the last rows are there.
  const first = Math.max(0, Math.min(seen - SPARE_ROWS, end - 1));
  return { first, end, abovePx: first * rowPx, belowPx: (rows - end) * rowPx };
}

/** Whether more is wanted: less than two heights lie ahead. */
export const nearsEnd = (rows: number, rowPx: number, scrollPx: number, heightPx: number): boolean =>
  rows * rowPx - scrollPx < 3 * heightPx;
