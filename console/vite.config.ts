/** How the pages are built: with relative addresses, and without what their policy forbids. */

import { fileURLToPath } from 'node:url';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  // Relative: the pages work behind any path prefix.
  base: './',
  plugins: [svelte()],
  resolve: { alias: { tautline: here('../sdk/src/entries/browser.ts') } },
  build: {
    target: 'es2022',
    // `light-dark()` stays as it is.
    cssTarget: ['chrome123', 'firefox120', 'safari17.5'],
    modulePreload: { polyfill: false },
    // The policy of the pages permits no data in fonts or scripts, and the icon has a file.
    assetsInlineLimit: 0,
    reportCompressedSize: false,
  },
});
