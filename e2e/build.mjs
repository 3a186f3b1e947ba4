// Compiles the tests into build/, one file each: those of this folder, and those of the demo's books, which they rely on.

import { readdirSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const testsIn = (folder) => readdirSync(here(folder)).map((name) => here(`${folder}/${name}`));

rmSync(here('build'), { recursive: true, force: true });
await build({
  entryPoints: [...testsIn('../examples/demo/test'), ...testsIn('test')],
  entryNames: '[name]',
  outdir: here('build'),
  bundle: true,
  format: 'esm',
  platform: 'node',
  external: ['playwright-core'],
});
