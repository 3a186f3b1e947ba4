// Looks for letters that compress better: `npm run letters [tries]`, after a build. It changes one letter at a time, at
// random, and keeps what makes the files no larger. What it found is in `letters.json`, which the next build takes.

import { readFileSync, writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { BESIDE, LINES } from './entries.mjs';
import { FILE, LETTERS, familyOf, hintsFor, lettered, withLetters } from './letters.mjs';

const TRIES = Number(process.argv[2] ?? 20000);
const found = JSON.parse(readFileSync(FILE, 'utf8'));
const named = (entry) => readFileSync(new URL(`../build/named/${entry}.js`, import.meta.url), 'utf8');
const sizeOf = (code) => gzipSync(code, { level: 9 }).length;

let seed = Number(process.argv[3] ?? 1);
function random(below) {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return Math.floor((seed / 4294967296) * below);
}

/** Betters the letters of an entry's variables, but for those that are `fixed`. `before`: what is loaded with it. */
function search(entry, fixed, before, tries) {
  const code = named(entry);
  const { variables, places, free } = lettered(code, hintsFor(entry));
  const parts = [];
  let at = 0;
  for (const place of places.sort((a, b) => a.start - b.start)) {
    parts.push(code.slice(at, place.start));
    (place.variable.parts ??= []).push(parts.length);
    parts.push(place.shared === 'ExportSpecifier' ? () => `${place.variable.letter} as ${place.variable.name}` : () => place.variable.letter);
    at = place.end;
  }
  parts.push(code.slice(at));
  const texts = parts.map((part) => (typeof part === 'string' ? part : part()));
  const movable = variables.filter((variable) => variable.parts && !fixed.has(variable.key));
  const measure = () => {
    const text = texts.join('');
    return sizeOf(text) + (before ? sizeOf(before + text) : 0);
  };
  const give = (variable, letter) => {
    variable.letter = letter;
    for (const part of variable.parts ?? []) texts[part] = parts[part]();
  };
  let least = measure();
  const start = least;
  for (let i = 0; i < tries && movable.length; i++) {
    const variable = movable[random(movable.length)];
    const old = variable.letter;
    const letter = LETTERS[random(random(2) ? 24 : LETTERS.length)];
    if (letter === old || !free.includes(letter)) continue;
    // Those who have it take the old one in exchange, where they may.
    const holders = [...variable.foes].filter((foe) => foe.letter === letter);
    const others = new Set([variable, ...holders]);
    if (holders.some((holder) => fixed.has(holder.key) || [...holder.foes].some((foe) => !others.has(foe) && foe.letter === old))) continue;
    if (holders.some((one) => holders.some((other) => one.foes.has(other)))) continue;
    holders.forEach((holder) => give(holder, old));
    give(variable, letter);
    const now = measure();
    if (now <= least) least = now;
    else {
      give(variable, old);
      holders.forEach((holder) => give(holder, letter));
    }
  }
  const family = (found[familyOf(entry)] ??= {});
  for (const variable of movable) family[variable.key] = variable.letter;
  console.log(`${entry.padEnd(12)} ${start} -> ${least}`);
  writeFileSync(FILE, `${JSON.stringify(found, null, 1)}\n`);
}

const known = () => new Set(Object.keys(found['line'] ?? {}));
search('index', new Set(), '', TRIES);
for (const entry of Object.keys(LINES)) if (entry !== 'index') search(entry, known(), '', TRIES / 20);
const line = withLetters(named('index'), hintsFor('index'));
for (const entry of Object.keys(BESIDE)) search(entry, new Set(), line, TRIES / (named(entry).length > 4000 ? 3 : 10));
