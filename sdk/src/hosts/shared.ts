/** What all lines over one api object have in common, also those that come in another file of this package. */

/** `api`'s own value of this name, made once. */
export function sharedOf<T>(api: object, name: string, make: () => T): T {
  const on = api as { [name: string]: T };
  const it = on[name] || make();
  try {
    on[name] = it;
  } catch (_) {
    // A frozen object: each host over it has its own.
  }
  return it;
}
