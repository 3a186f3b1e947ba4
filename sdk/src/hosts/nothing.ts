/** What is called where nobody listens. */

export function nothing(): void {}
