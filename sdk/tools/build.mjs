// Builds what ships: types, then ES5 by the TypeScript compiler, then one minified file for each way to load it.

import { execFileSync } from 'node:child_process';
import { copyFileSync, cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { minify } from 'terser';
import { BESIDE, EXTERNAL, LINES, PARTS, fileOf } from './entries.mjs';
import { inward } from './inward.mjs';
import { hintsFor, withLetters } from './letters.mjs';
import { reference } from './reference.mjs';
import { privateFields, privateNames, shortNames, shorten } from './shorten.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

rmSync(join(root, 'dist'), { recursive: true, force: true });
rmSync(join(root, 'build/es5'), { recursive: true, force: true });
execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', root], { stdio: 'inherit' });
for (const folder of ['mini', 'esm']) mkdirSync(join(root, 'dist', folder), { recursive: true });
for (const folder of ['build/named', 'build/shipped']) mkdirSync(join(root, folder), { recursive: true });

const beside = await bundles(BESIDE);
// What `storage` reads of a session must be there for it to read.
const kept = new Set(beside.flatMap(([, code]) => privateNames(code)));
const all = [...(await bundles(LINES)).map(([entry, code]) => [entry, inward(code, kept)]), ...beside];
// One list of names for all of them: `storage` reads private parts of a line that comes in another file.
const fields = privateFields(all.map(([, code]) => code).join(), sources(join(root, 'src')));
const names = shortNames(fields, hintsFor('fields'));
for (const [entry, code] of all) await ship(entry, code);
for (const [part, code] of await bundles(PARTS)) await leave(part, inward(code, kept));
const rivals = [...fields.rivals].map(([name, its]) => [name, [...its]]);
writeFileSync(join(root, 'build/named/fields.json'), JSON.stringify({ uses: [...fields.uses], rivals, free: fields.free }));
writeFileSync(join(root, 'build/shipped/names.json'), JSON.stringify(Object.fromEntries(names)));
// What is in this folder is ESM, for Node and for TypeScript, too.
write('esm/package.json', JSON.stringify({ type: 'module', sideEffects: false }));
cpSync(join(root, 'dist/types'), join(root, 'dist/esm/types'), { recursive: true });
for (const [entry, source] of Object.entries({ ...LINES, ...BESIDE })) stub(entry, source);
for (const licence of ['LICENSE-APACHE', 'LICENSE-MIT']) copyFileSync(join(root, '..', licence), join(root, licence));
writeFileSync(join(root, 'dist/reference.md'), reference({ index: LINES.index, ...BESIDE }, join(root, 'dist/types')));

async function bundles(entries) {
  return Promise.all(Object.entries(entries).map(async ([entry, source]) => [entry, await bundle(source)]));
}

/** All code of one entry. */
async function bundle(source) {
  const { outputFiles } = await build({
    entryPoints: [join(root, `build/es5/${source}.js`)],
    bundle: true,
    format: 'esm',
    target: 'es5',
    external: EXTERNAL,
    write: false,
  });
  return outputFiles[0].text;
}

/** Writes an entry in each form that it is loaded in. */
async function ship(entry, code) {
  const esm = await small(entry, code);
  const { whole, body, exported, cjs } = taken(esm);
  const file = fileOf(entry);
  write(`esm/${entry}.js`, esm);
  write(`mini/${entry}.js`, cjs);
  if (entry === 'index') write(`${file}.cjs.js`, cjs);
  // Whoever loads scripts by hand has no module to import from elsewhere.
  if (body !== whole) return;
  const object = exported.map(([local, name = local]) => `${name}:${local}`).join();
  const iife = `(function(){${body}return{${object}}})()`;
  if (entry in LINES) write(`${file}.global.js`, `var tautline=${iife},Tautline=tautline.Tautline;`);
  else write(`${file}.global.js`, `${file}=${iife};`);
}

/** Where `exports` of package.json is not known (webpack 4, Metro, older TypeScript) a sub-path is a folder. */
function stub(entry, source) {
  if (entry === 'index') return;
  const folder = join(root, entry);
  mkdirSync(folder, { recursive: true });
  const its = { main: `../dist/mini/${entry}.js`, module: `../dist/esm/${entry}.js`, types: `../dist/types/${source}.d.ts`, sideEffects: false };
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(its, null, 2)}\n`);
}

/** Writes a part for the tests. */
async function leave(part, code) {
  writeFileSync(join(root, `build/shipped/${part}.js`), taken(await small(part, code)).cjs);
}

/** A module taken apart, and as one that is required. */
function taken(esm) {
  const [, whole, list] = esm.match(/^([^]*)export\s*\{([^}]*)\};?\s*$/);
  const exported = list.split(',').map((pair) => pair.trim().split(' as '));
  const body = whole.replace(/import\s*\{([^}]*)\}\s*from\s*("[^"]*");?/g, (_, imported, from) => required(imported, from));
  // With a default export, those who `import` it by way of `require` must be told.
  const mark = exported.some(([, name]) => name === 'default') ? 'Object.defineProperty(exports,"__esModule",{value:true});' : '';
  // The bundler's own wrappers for the other two cost 280 bytes, which phones would load for nothing.
  const cjs = mark + body + exported.map(([local, name = local]) => `exports.${name}=${local};`).join('');
  return { whole, body, exported, cjs };
}

/** `import{useEffect as e}from"react"` for those who `require`. */
function required(imported, from) {
  const pairs = imported.split(',').map((pair) => pair.trim().split(' as '));
  return `var ${pairs.map(([name, local = name]) => `${local}=require(${from}).${name}`).join()};`;
}

async function small(entry, code) {
  const { code: minified } = await minify(code, {
    ecma: 5,
    module: true,
    compress: { passes: 3, inline: 1, pure_getters: true, unsafe: true },
    mangle: false,
    format: { comments: false },
  });
  // For `npm run letters`.
  writeFileSync(join(root, `build/named/${entry}.js`), minified);
  return withLetters(shorten(minified, names), hintsFor(entry));
}

function sources(folder) {
  const files = readdirSync(folder, { recursive: true }).filter((file) => file.endsWith('.ts'));
  return files.map((file) => readFileSync(join(folder, file), 'utf8'));
}

function write(file, code) {
  writeFileSync(join(root, 'dist', file), `${code}\n`);
}
