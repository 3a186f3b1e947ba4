// Gives variables their letters. A minifier takes the first that is free; here each has one that was found to compress
// well, by trying: `npm run letters` looks for better ones and writes `letters.json`. What is not in there, or no longer
// fits, takes the first that is free, so nothing depends on the file but a few bytes.

import { readFileSync } from 'node:fs';
import { LINES } from './entries.mjs';
import { edited, treeOf, variablesOf } from './syntax.mjs';

/** Most frequent in code first. */
export const LETTERS = [...'etnosriucaldfphmvgkybwxqjzABCDEFGHIJKLMNOPQRSTUVWXYZ_$'];
const PAIRS = LETTERS.flatMap((first) => ['e', 't', 'n'].map((second) => first + second));
const WORDS = new Set(['do', 'if', 'in', 'of', 'as', 'is']);

/** Where letters that were found are kept. */
export const FILE = new URL('letters.json', import.meta.url);

/** Entries with a line have most of their code in common, and all of their letters. */
export function familyOf(entry) {
  return entry in LINES ? 'line' : entry;
}

/** The letters that were found for an entry, by the keys of its variables. */
export function hintsFor(entry) {
  return JSON.parse(readFileSync(FILE, 'utf8'))[familyOf(entry)] ?? {};
}

/** The variables of `code`, each with a `letter`; and what puts them in. */
export function lettered(code, hints) {
  const { variables, globals } = variablesOf(treeOf(code));
  const free = [...LETTERS, ...PAIRS].filter((name) => !globals.has(name) && !WORDS.has(name));
  const fits = (variable, letter) => [...variable.foes].every((foe) => foe.letter !== letter);
  for (const variable of variables) {
    const hint = hints[variable.key];
    if (hint && free.includes(hint) && fits(variable, hint)) variable.letter = hint;
  }
  const byUse = variables.filter((variable) => !variable.letter).sort((a, b) => b.places.length - a.places.length);
  for (const variable of byUse) variable.letter = free.find((letter) => fits(variable, letter));
  const places = variables.flatMap((variable) => variable.places.map((place) => ({ variable, ...place })));
  return { variables, places, free };
}

/** `code` with letters for its variables. */
export function withLetters(code, hints) {
  const { places } = lettered(code, hints);
  return edited(code, places.map((place) => [place.start, place.end, textOf(place)]));
}

function textOf({ shared, variable: { name, letter } }) {
  if (!shared) return letter;
  return shared === 'ExportSpecifier' ? `${letter} as ${name}` : `${name} as ${letter}`;
}
