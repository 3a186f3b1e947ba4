/** Clock, timers and chance, which every host has. */

declare function setTimeout(fire: () => void, delayMs: number): unknown;
declare function clearTimeout(timer: unknown): void;
declare const crypto: { getRandomValues(into: Uint32Array): Uint32Array } | undefined;

/** Wall clock, in milliseconds. */
export function now(): number {
  return Date.now();
}

/** Calls `fire` once after `delayMs`; the result takes it back. */
export function setTimer(delayMs: number, fire: () => void): () => void {
  const timer = setTimeout(fire, delayMs);
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
