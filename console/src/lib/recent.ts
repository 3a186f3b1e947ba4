/** What was looked at last in this visit, newest first. */

const COUNT_MAX = 12;
const lists: Record<string, string[]> = {};

export const remembered = (kind: 'users' | 'channels'): string[] => lists[kind] ?? [];

export function remember(kind: 'users' | 'channels', name: string): void {
  lists[kind] = [name, ...remembered(kind).filter((it) => it !== name)].slice(0, COUNT_MAX);
}
