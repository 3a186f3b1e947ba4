/** What the browser keeps between visits; without a store, as in a private window, it keeps nothing. */

export function kept(name: string): string | null {
  try {
    return localStorage.getItem(name);
  } catch (_) {
    return null;
  }
}

export function keep(name: string, value: string): void {
  try {
    localStorage.setItem(name, value);
  } catch (_) {
    // It lasts as long as the page.
  }
}
