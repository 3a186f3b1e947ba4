// Builds the game: the page into dist/, its tests into build/.

import { build } from 'esbuild';
import { buildPage } from '../../page.mjs';

await buildPage(build, import.meta.url);
