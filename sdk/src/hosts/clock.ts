/** Clock, timers and chance, which every host has. */

declare function setTimeout(fire: () => void, delayMs: number): unknown;
declare function clearTimeout(timer: unknown): void;
declare const crypto: { getRandomValues(into: Uint32Array): Uint32Array } | undefined;

/** Wall clock, in milliseconds. */
export function now(): number {
  return Date.now();
}

/** What a timer can wait at most: with more, it fires at once. Milliseconds. */
const DELAY_MS_MAX = 2147483647;

/** Calls `fire` once after `delayMs`, or early where no timer waits as long; the result takes it back. */
export function setTimer(delayMs: number, fire: () => void): () => void {
  const timer = setTimeout(fire, Math.min(delayMs, DELAY_MS_MAX));
  return () => clearTimeout(timer);
}

/** Random text, hard to guess where the host has a source for that, and unlikely to come twice where it has none. */
export function entropy(): string {
  try {
    return String(crypto!.getRandomValues(new Uint32Array(4)));
  } catch (_) {
    return '' + Math.random() + Math.random();
  }
}
