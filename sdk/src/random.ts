/** The session's randomness: mulberry32, bit for bit the same in Rust. Good enough to spread retries; no source of secrets. */

interface Multiplies {
  imul(a: number, b: number): number;
}

/** Returns a source of numbers that are at least 0 and below 1, made of 32 bits each. */
export function randomFrom(seed: number): () => number {
  // Younger than ES5, and yet in every engine since iOS 8 and Android 4.4.
  const { imul } = Math as unknown as Multiplies;
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let z = imul(seed ^ (seed >>> 15), seed | 1);
    z ^= z + imul(z ^ (z >>> 7), z | 61);
    return ((z ^ (z >>> 14)) >>> 0) / 4294967296;
  };
}
