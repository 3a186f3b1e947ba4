/** What is called where nobody listens. */

export function noop(): void {}
