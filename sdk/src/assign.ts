/** `Object.assign`, which the oldest hosts lack; but what is `undefined` overrides nothing. */
export function assign<A extends object, B extends object>(target: A, source: B | undefined): A & B {
  for (const key in source) {
    if (source[key] !== undefined) (target as unknown as B)[key] = source[key]!;
  }
  return target as A & B;
}
