// Checks what ships: ES5 to the letter, and small. Fails on either.

import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { fileURLToPath } from 'node:url';
import { parse } from 'acorn';

/** Core, browser and WeChat together, as `gzip -9` leaves them. */
const GZIP_BYTES_MAX = 7 * 1024;

let failed = false;
console.log('file                    bytes   gzip -9');
for (const [name, sourceType] of [['esm', 'module'], ['cjs', 'script'], ['global', 'script']]) {
  const file = `tautline.${name}.js`;
  const code = readFileSync(fileURLToPath(new URL(`../dist/${file}`, import.meta.url)), 'utf8');
  const gzipped = gzipSync(code, { level: 9 }).length;
  const fits = gzipped <= GZIP_BYTES_MAX;
  console.log(`${file.padEnd(20)} ${String(code.length).padStart(8)} ${String(gzipped).padStart(9)}${fits ? '' : '  over the limit'}`);
  failed ||= !fits;
  // `export` is the one thing that a module has and ES5 has not.
  const es5 = sourceType === 'module' ? code.replace(/export\s*\{[^}]*\};?\s*$/, '') : code;
  try {
    parse(es5, { ecmaVersion: 5, sourceType: 'script' });
  } catch (error) {
    console.log(`${file} is not ES5: ${error.message}`);
    failed = true;
  }
}
console.log(`at most ${GZIP_BYTES_MAX} bytes gzipped: ${failed ? 'FAILED' : 'ok'}`);
process.exit(failed ? 1 : 0);
