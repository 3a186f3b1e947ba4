// Compiles the tests into build/, one file each: those of this folder, and those of the demo's books, which they rely on.
// `node build.mjs frameworks` compiles those of the frameworks instead, `node build.mjs plain` those of the plain endpoint,
// `node build.mjs console` those of the console.

import { readdirSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const filesIn = (folder) => readdirSync(here(folder)).map((name) => here(`${folder}/${name}`));
const testsIn = (folder) => filesIn(folder).filter((path) => path.endsWith('.test.ts'));
const folder = process.argv[2];

rmSync(here('build'), { recursive: true, force: true });
await build({
  entryPoints: folder ? testsIn(folder) : [...testsIn('../examples/demo/test'), ...testsIn('test')],
  entryNames: '[name]',
  outdir: here('build'),
  bundle: true,
  format: 'esm',
  platform: 'node',
  external: ['playwright-core', 'ws'],
});
