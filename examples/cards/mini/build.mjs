// Copies the built SDK to where `require('tautline/…')` finds it: what the vendor's tool does by "构建 npm", without the tool.

import { cpSync, mkdirSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

rmSync(here('miniprogram_npm'), { recursive: true, force: true });
mkdirSync(here('miniprogram_npm/tautline'), { recursive: true });
for (const entry of ['wechat', 'page', 'with-state'])
  cpSync(here(`../../../sdk/dist/mini/${entry}.js`), here(`miniprogram_npm/tautline/${entry}.js`));
