// What others cost a phone, bundled and minified with the same tools: a table beside our own sizes. It fails on nothing.

import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { minify } from 'terser';

const OTHERS = [
  'websocket-heartbeat-miniprogram',
  'reconnecting-websocket',
  'centrifuge',
  'socket.io-client',
];

/** Prints a line for each. */
export async function printOthers(print) {
  for (const name of OTHERS) {
    const { outputFiles } = await build({
      stdin: {
        contents: `import * as all from '${name}'; export { all };`,
        resolveDir: dirname(fileURLToPath(import.meta.url)),
      },
      bundle: true,
      format: 'esm',
      platform: 'browser',
      // Most of them are not written for ES5, which would make them larger still.
      target: 'es2017',
      write: false,
      logLevel: 'error',
    });
    const { code } = await minify(outputFiles[0].text, {
      module: true,
      compress: { passes: 3 },
      format: { comments: false },
    });
    print(name, code.length, gzipSync(code, { level: 9 }).length);
  }
}
