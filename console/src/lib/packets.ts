/** What a packet is, in a word: the first of its members that has a name of the protocol. Pure. */

/** Tokens are secrets, also on the screen of whoever demonstrates the console. */
const SECRETS = ['token', 'ticket', 'code', 'proof'];
const HIDDEN = '•••';

/** Members beside the verb. */
const BESIDE = ['id', 'seen', 'again'];

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (_) {
    return undefined;
  }
}

/** `hello`, `publish`, `ping`, …; several lines are several packets. */
export function kindsOf(text: string): string[] {
  const lines = text.split('\n').filter(Boolean);
  return lines.map((line) => {
    const packet = parsed(line);
    if (typeof packet !== 'object' || packet === null) return '?';
    return Object.keys(packet).find((name) => !BESIDE.includes(name)) ?? '∅';
  });
}

function hide(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(hide);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, it]) => [
      name,
      SECRETS.includes(name) && typeof it === 'string' && it.length > 16 ? HIDDEN : hide(it),
    ]),
  );
}

/** The packets over lines, without secrets. */
export function readable(text: string): string {
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => {
      const packet = parsed(line);
      return packet === undefined ? line : JSON.stringify(hide(packet));
    })
    .join('\n');
}
