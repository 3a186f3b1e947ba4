// Looks for letters that compress better: `npm run letters [tries]`. It changes one letter at a time, at random, and keeps
// what makes the files no larger. What it found is in `letters.json`, which the next build takes.

import { readFileSync, writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { BESIDE, LINES } from './entries.mjs';
import { FILE, LETTERS, familyOf, hintsFor, lettered, withLetters } from './letters.mjs';
import { shorten, shortNames } from './shorten.mjs';

const TRIES = Number(process.argv[2] ?? 20000);
/** Names beside letters that are tried: the frequent ones are tried more often. */
const FREQUENT = 24;

const found = JSON.parse(readFileSync(FILE, 'utf8'));
const read = (file) => readFileSync(new URL(`../build/named/${file}`, import.meta.url), 'utf8');
const sizeOf = (code) => gzipSync(code, { level: 9 }).length;
const fields = JSON.parse(read('fields.json'));
fields.uses = new Map(fields.uses);
fields.rivals = new Map(fields.rivals);

let seed = Number(process.argv[3] ?? 1);
function random(below) {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return Math.floor((seed / 4294967296) * below);
}

/**
 * Betters the letters of `movable`: each has a `letter` and `foes` that must have another one. `put` is told of each change,
 * `measure` says what it is worth.
 */
function climb(what, movable, free, tries, put, measure) {
  const moves = new Set(movable);
  let least = measure();
  const start = least;
  const give = (it, letter) => {
    it.letter = letter;
    put(it);
  };
  for (let i = 0; i < tries && movable.length; i++) {
    const it = movable[random(movable.length)];
    const old = it.letter;
    const letter = LETTERS[random(random(2) ? FREQUENT : LETTERS.length)];
    if (letter === old || !free.includes(letter)) continue;
    // Those who have it take the old one in exchange, where they may.
    const holders = [...it.foes].filter((foe) => foe.letter === letter);
    const others = new Set([it, ...holders]);
    if (holders.some((holder) => !moves.has(holder) || [...holder.foes].some((foe) => !others.has(foe) && foe.letter === old))) continue;
    if (holders.some((one) => holders.some((other) => one.foes.has(other)))) continue;
    holders.forEach((holder) => give(holder, old));
    give(it, letter);
    const now = measure();
    if (now <= least) least = now;
    else {
      give(it, old);
      holders.forEach((holder) => give(holder, letter));
    }
  }
  console.log(`${what.padEnd(12)} ${start} -> ${least}`);
}

/** `code` in parts, of which those at `places` change; each place says what stands there. */
function inParts(code, places) {
  const texts = [];
  const at = new Map();
  let end = 0;
  for (const place of [...places].sort((a, b) => a.start - b.start)) {
    texts.push(code.slice(end, place.start));
    at.set(place.of, [...(at.get(place.of) ?? []), [texts.length, place.text]]);
    texts.push(place.text());
    end = place.end;
  }
  texts.push(code.slice(end));
  return {
    text: () => texts.join(''),
    put: (of) => at.get(of)?.forEach(([index, text]) => (texts[index] = text())),
    has: (of) => at.has(of),
  };
}

function forVariables(entry, fixed, before, tries) {
  const code = shorten(read(`${entry}.js`), names());
  const { variables, places, free } = lettered(code, hintsFor(entry));
  const it = inParts(code, places.map(({ start, end, shared, variable }) => {
    const text = shared === 'ExportSpecifier' ? () => `${variable.letter} as ${variable.name}` : () => variable.letter;
    return { start, end, of: variable, text };
  }));
  const movable = variables.filter((variable) => it.has(variable) && !fixed.has(variable.key));
  climb(entry, movable, free, tries, it.put, () => {
    const text = it.text();
    return sizeOf(text) + (before ? sizeOf(before + text) : 0);
  });
  const family = (found[familyOf(entry)] ??= {});
  for (const { key, letter } of movable) family[key] = letter;
  save();
}

function forFields(entries, tries) {
  const now = names();
  const all = [...fields.uses.keys()].map((name) => ({ name, letter: now.get(name) }));
  const byName = new Map(all.map((field) => [field.name, field]));
  for (const field of all) field.foes = new Set(fields.rivals.get(field.name).map((name) => byName.get(name)));
  const placed = entries.map((entry) => {
    // With marks where fields are, which compress like nothing and are never measured.
    const marks = new Map(all.map(({ name }, index) => [name, `\u{1}${index}\u{1}`]));
    const code = withLetters(shorten(read(`${entry}.js`), now), hintsFor(entry));
    const marked = withMarks(entry, marks);
    return { code, ...inParts(marked, [...marked.matchAll(/\u{1}(\d+)\u{1}/gu)].map((match) => {
      const field = all[match[1]];
      return { start: match.index, end: match.index + match[0].length, of: field, text: () => field.letter };
    })) };
  });
  placed.forEach((one) => {
    if (one.text() !== one.code) throw new Error('the marks are not where the fields are');
  });
  climb('fields', all, fields.free, tries, (field) => placed.forEach((one) => one.put(field)), () => {
    const texts = placed.map((one) => one.text());
    return sizeOf(texts[0]) + sizeOf(texts.join(''));
  });
  found['fields'] = Object.fromEntries(all.map(({ name, letter }) => [name, letter]));
  save();
}

/** The code of an entry with its letters, and marks for private fields. */
function withMarks(entry, marks) {
  const words = new Map([...marks].map(([name, mark]) => [name, `$$${mark.slice(1, -1)}$$`]));
  return withLetters(shorten(read(`${entry}.js`), words), hintsFor(entry)).replace(/\$\$(\d+)\$\$/g, '\u{1}$1\u{1}');
}

function names() {
  return shortNames(fields, found['fields'] ?? {});
}

function save() {
  writeFileSync(FILE, `${JSON.stringify(found, null, 1)}\n`);
}

for (let round = 0; round < 2; round++) {
  forVariables('index', new Set(), '', TRIES);
  forFields(['index', 'storage', 'msgpack'], TRIES / 4);
}
const known = () => new Set(Object.keys(found['line']));
for (const entry of Object.keys(LINES)) if (entry !== 'index') forVariables(entry, known(), '', TRIES / 20);
const line = withLetters(shorten(read('index.js'), names()), hintsFor('index'));
for (const entry of Object.keys(BESIDE)) forVariables(entry, new Set(), line, TRIES / (read(`${entry}.js`).length > 4000 ? 3 : 10));
