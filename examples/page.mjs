// Builds the page of an example into dist/ and its tests into build/. Everything is local: a page loads nothing from elsewhere.

import { cpSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** `build` is esbuild's, of the example's own packages; `base` is the URL of a file in its folder. */
export async function buildPage(build, base) {
  const here = (path) => fileURLToPath(new URL(path, base));

  rmSync(here('dist'), { recursive: true, force: true });
  rmSync(here('build'), { recursive: true, force: true });
  mkdirSync(here('dist'), { recursive: true });

  await build({
    entryPoints: [here('src/main.ts'), here('src/style.css')],
    outdir: here('dist'),
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    sourcemap: true,
  });
  cpSync(here('src/index.html'), here('dist/index.html'));

  const tests = readdirSync(here('test')).filter((name) => name.endsWith('.test.ts'));
  await build({
    entryPoints: tests.map((name) => here(`test/${name}`)),
    outdir: here('build'),
    bundle: true,
    format: 'esm',
    platform: 'node',
  });
}
