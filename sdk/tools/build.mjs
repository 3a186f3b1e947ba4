// Builds what ships: types, then ES5 by the TypeScript compiler, then one minified file for each way to load it.

import { execFileSync } from 'node:child_process';
import { copyFileSync, cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { minify } from 'terser';
import { BESIDE, EXTERNAL, LINES, PARTS, fileOf } from './entries.mjs';
import { bundled, privateNames } from './mangle.mjs';
import { reference } from './reference.mjs';
import { Stamp } from './stamp.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

const INPUTS = ['src', 'tools', 'tsconfig.json', 'package.json', 'package-lock.json'];
const STUBS = Object.keys({ ...LINES, ...BESIDE }).filter((entry) => entry !== 'index');
const LICENCES = ['LICENSE-APACHE', 'LICENSE-MIT'];
const OUTPUTS = ['dist', 'build/es5', 'build/shipped', ...STUBS, ...LICENCES];
const stamp = new Stamp(root, 'build/stamp', INPUTS, OUTPUTS);
if (stamp.isFresh()) process.exit();

rmSync(join(root, 'dist'), { recursive: true, force: true });
rmSync(join(root, 'build/es5'), { recursive: true, force: true });
execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', root], {
  stdio: 'inherit',
});
for (const folder of ['mini', 'esm']) mkdirSync(join(root, 'dist', folder), { recursive: true });
mkdirSync(join(root, 'build/shipped'), { recursive: true });

const SHIPPED = Object.entries({ ...LINES, ...BESIDE });
const names = await privateNames(
  [...SHIPPED, ...Object.entries(PARTS)].map(([, source]) => compiled(source)),
  root,
  EXTERNAL,
);
for (const [entry, source] of SHIPPED) ship(entry, await small(source));
for (const [part, source] of Object.entries(PARTS)) {
  writeFileSync(join(root, `build/shipped/${part}.js`), taken(await small(source)).cjs);
}
writeFileSync(join(root, 'build/shipped/names.json'), JSON.stringify(names));
// What is in this folder is ESM, for Node and for TypeScript, too.
write('esm/package.json', JSON.stringify({ type: 'module', sideEffects: false }));
cpSync(join(root, 'dist/types'), join(root, 'dist/esm/types'), { recursive: true });
for (const [entry, source] of SHIPPED) stub(entry, source);
for (const licence of LICENCES) copyFileSync(join(root, '..', licence), join(root, licence));
writeFileSync(
  join(root, 'dist/reference.md'),
  reference({ index: LINES.index, ...BESIDE }, join(root, 'dist/types')),
);
stamp.write();

/** The file that the compiler has made of a source. */
function compiled(source) {
  return join(root, `build/es5/${source}.js`);
}

/** All code of an entry, minified, as a module. */
async function small(source) {
  const { code: minified } = await minify(await bundled(compiled(source), EXTERNAL, names), {
    ecma: 5,
    module: true,
    compress: { passes: 3, inline: 1, pure_getters: true, unsafe: true },
    format: { comments: false },
  });
  return minified;
}

/** Writes an entry in each form that it is loaded in. */
function ship(entry, esm) {
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
  else write(`${file}.global.js`, `${file.replace(/-(\w)/g, (_, letter) => letter.toUpperCase())}=${iife};`);
}

/** Where `exports` of package.json is not known (webpack 4, Metro, older TypeScript) a sub-path is a folder. */
function stub(entry, source) {
  if (entry === 'index') return;
  const folder = join(root, entry);
  mkdirSync(folder, { recursive: true });
  const its = {
    main: `../dist/mini/${entry}.js`,
    module: `../dist/esm/${entry}.js`,
    types: `../dist/types/${source}.d.ts`,
    sideEffects: false,
  };
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(its, null, 2)}\n`);
}

/** A module taken apart, and as one that is required. */
function taken(esm) {
  const [, whole, list] = esm.match(/^([^]*)export\s*\{([^}]*)\};?\s*$/);
  const exported = list.split(',').map((pair) => pair.trim().split(' as '));
  const body = whole.replace(/import\s*\{([^}]*)\}\s*from\s*("[^"]*");?/g, (_, imported, from) =>
    required(imported, from),
  );
  // With a default export, those who `import` it by way of `require` must be told.
  const mark = exported.some(([, name]) => name === 'default')
    ? 'Object.defineProperty(exports,"__esModule",{value:true});'
    : '';
  // The bundler's own wrappers for the other two cost 280 bytes, which phones would load for nothing.
  const cjs = mark + body + exported.map(([local, name = local]) => `exports.${name}=${local};`).join('');
  return { whole, body, exported, cjs };
}

/** `import{useEffect as e}from"react"` for those who `require`. */
function required(imported, from) {
  const pairs = imported.split(',').map((pair) => pair.trim().split(' as '));
  return `var ${pairs.map(([name, local = name]) => `${local}=require(${from}).${name}`).join()};`;
}

function write(file, code) {
  writeFileSync(join(root, 'dist', file), `${code}\n`);
}
