// Builds what ships: types, then ES5 by the TypeScript compiler, then one minified file for each way to load it.

import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { minify } from 'terser';
import { shortNames, shorten } from './shorten.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

rmSync(join(root, 'dist'), { recursive: true, force: true });
rmSync(join(root, 'build/es5'), { recursive: true, force: true });
execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', root], { stdio: 'inherit' });

await ship('index', 'tautline', 'Tautline=tautline.Tautline');
await ship('words', 'tautline.words');

/** Bundles `entry` and writes it in three forms; as a script it defines the global `name`. */
async function ship(entry, name, also) {
  const { outputFiles } = await build({
    entryPoints: [join(root, `build/es5/${entry}.js`)],
    bundle: true,
    format: 'esm',
    target: 'es5',
    write: false,
  });
  const esm = await small(outputFiles[0].text);
  const [, body, list] = esm.match(/^([^]*)export\s*\{([^}]*)\};?\s*$/);
  const names = list.split(',').map((pair) => pair.trim().split(' as '));
  // The bundler's own wrappers for the other two cost 280 bytes, which phones would load for nothing.
  const exported = names.map(([local, name = local]) => `exports.${name}=${local};`).join('');
  const object = names.map(([local, name = local]) => `${name}:${local}`).join();
  const iife = `(function(){${body}return{${object}}})()`;
  const assign = name.includes('.') ? `${name}=${iife}` : `var ${name}=${iife}`;
  write(`${name}.esm.js`, esm);
  write(`${name}.cjs.js`, `${body}${exported}`);
  write(`${name}.global.js`, also ? `${assign},${also};` : `${assign};`);
}

async function small(code) {
  const { code: minified } = await minify(code, {
    ecma: 5,
    module: true,
    compress: { passes: 3, inline: 1, pure_getters: true, unsafe: true, unsafe_comps: true },
    format: { comments: false },
  });
  return shorten(minified, shortNames(code, sources(join(root, 'src'))));
}

function sources(folder) {
  const files = readdirSync(folder, { recursive: true }).filter((file) => file.endsWith('.ts'));
  return files.map((file) => readFileSync(join(folder, file), 'utf8'));
}

function write(file, code) {
  writeFileSync(join(root, 'dist', file), `${code}\n`);
}
