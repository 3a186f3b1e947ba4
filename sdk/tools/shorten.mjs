// Gives every private name one letter, or two: those that end in an underscore, and the few that only the bundle itself ever sees.
//
// A minifier gives each a name of its own, and there are more than letters. But only names that are members of the same
// class or interface must differ; so the names are the nodes of a graph, and letters its colours.
//
// That holds only for names whose every object has a declared type, and for letters that are nobody's real name. `v` is one,
// of every hello and of what is stored: an object that bore it beside a private name that had become `v` would say something
// else. So what the code itself calls by a letter is not given away, and a name without a type ends the build.

import { edited, treeOf, walk } from './syntax.mjs';

/** Most frequent in code first, so that compression finds more to repeat. Pairs are for the names that find no letter free. */
const SINGLE = [...'etnosriucaldfphmvgkybwxqjzABCDEFGHIJKLMNOPQRSTUVWXYZ_$'];
const LETTERS = [...SINGLE, ...SINGLE.map((letter) => letter + 'e')];
const PRIVATE_NAME = /\b(?:[a-zA-Z]\w*[^\W_]_|handleInput|pollOutput|pollTimeout|mono_ms|wall_ms|ttl_ms)\b/g;

/**
 * All private names of `code`, which was compiled from the TypeScript files `sources`: with how often each is used, the names
 * that must have other letters (`rivals`), and, for all, the letters that they may have (`free`).
 */
export function privateFields(code, sources) {
  const uses = count(code.match(PRIVATE_NAME) ?? []);
  const rivals = new Map([...uses.keys()].map((name) => [name, new Set()]));
  const real = realNames(code);
  const typed = new Set(sources.flatMap(membersOfTypes).flat());
  mustNotExtend(sources.join('\n'));
  const untyped = [...uses.keys()].filter((name) => !typed.has(name));
  if (untyped.length) throw new Error(`private names that no class or interface declares: ${untyped.join(', ')}`);
  for (const members of sources.flatMap(membersOfTypes)) {
    const known = members.filter((name) => uses.has(name));
    for (const name of known) known.forEach((other) => other !== name && rivals.get(name).add(other));
  }
  return { uses, rivals, free: LETTERS.filter((letter) => !real.has(letter)) };
}

/** Letters for private fields: those that were found to compress well (`hints`), where they fit, else the first that is free. */
export function shortNames({ uses, rivals, free }, hints) {
  const names = new Map();
  const fits = (name, letter) => ![...rivals.get(name)].some((rival) => names.get(rival) === letter);
  const known = [...uses.keys()].filter((name) => free.includes(hints[name]));
  for (const name of known) if (fits(name, hints[name])) names.set(name, hints[name]);
  for (const name of [...uses.keys()].sort((a, b) => uses.get(b) - uses.get(a) || (a < b ? -1 : 1))) {
    if (names.has(name)) continue;
    const letter = free.find((one) => fits(name, one));
    if (!letter) throw new Error(`no letters are left for ${name}: more than ${free.length} private names in one type`);
    names.set(name, letter);
  }
  return names;
}

/** The private names in `code`. */
export function privateNames(code) {
  return code.match(PRIVATE_NAME) ?? [];
}

/** `code` with its private names shortened, where they are names of properties: variables may be called the same. */
export function shorten(code, names) {
  const edits = [];
  walk(treeOf(code), (node, parent, key) => {
    if (node.type !== 'Identifier' || !names.has(node.name)) return;
    if ((key === 'property' && !parent.computed) || key === 'key') edits.push([node.start, node.end, names.get(node.name)]);
  });
  return edited(code, edits);
}

/** For each class and interface in a source: the private names in its body, its own and those it uses. */
function membersOfTypes(source) {
  const types = source.match(/^(?:export )?(?:class|interface) \w+[^]*?^\}/gm) ?? [];
  return types.map((type) => [...new Set(type.match(PRIVATE_NAME))]);
}

/** Of a type that extends another, the names of both would have to differ, and nobody compares them. */
function mustNotExtend(source) {
  const types = [...source.matchAll(/^(?:export )?(?:class|interface) (\w+)(?:<[^\n]*?>)?(?: extends (\w+))?[^]*?^\}/gm)];
  const named = new Set(types.filter(([type]) => type.match(PRIVATE_NAME)).map(([, name]) => name));
  const wrong = types.filter(([, name, base]) => named.has(name) && named.has(base)).map(([, name, base]) => `${name} extends ${base}`);
  if (wrong.length) throw new Error(`private names that nobody keeps apart: ${wrong.join(', ')}`);
}

/** Names of one or two letters by which the code calls properties: those on the wire, and those of the language. */
function realNames(code) {
  const accessed = code.matchAll(/\.([a-zA-Z_$][\w$]?)(?![\w$])/g);
  const listed = code.matchAll(/[{,]\s*["']?([a-zA-Z_$][\w$]?)["']?\s*:/g);
  return new Set([...accessed, ...listed].map(([, name]) => name));
}

function count(names) {
  const counts = new Map();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}
