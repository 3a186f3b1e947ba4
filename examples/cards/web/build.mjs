// Builds the shop: the page into dist/, its tests into build/.

import { cpSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { buildPage } from '../../page.mjs';

await buildPage(build, import.meta.url);

// The page of plain WebSocket code is served as it is.
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
for (const name of ['plain.html', 'plain.js']) cpSync(here(`../plain/${name}`), here(`dist/${name}`));
