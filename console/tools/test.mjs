// Compiles the unit tests of the pure parts into build/ and runs them.

import { spawnSync } from 'node:child_process';
import { readdirSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const tests = readdirSync(here('../test')).filter((name) => name.endsWith('.test.ts'));

rmSync(here('../build'), { recursive: true, force: true });
await build({
  entryPoints: tests.map((name) => here(`../test/${name}`)),
  outdir: here('../build'),
  bundle: true,
  format: 'esm',
  platform: 'node',
  alias: { tautline: here('../../sdk/src/entries/browser.ts') },
  logLevel: 'warning',
});
const built = tests.map((name) => here(`../build/${name.replace(/ts$/, 'js')}`));
const { status } = spawnSync(process.execPath, ['--test', '--test-reporter=spec', ...built], {
  stdio: 'inherit',
});
process.exitCode = status ?? 1;
