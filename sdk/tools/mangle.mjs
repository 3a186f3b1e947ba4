// Short names for private properties: those that end in an underscore. esbuild does the work; the one list of names that it
// makes of all entries together lets `storage` read private parts of a line that comes in another file.

import { build } from 'esbuild';

/** The naming convention. Nothing else in the code, and nothing on the wire, ends so. */
const PRIVATE = /[a-zA-Z0-9]_$/;

/** The code of one entry, bundled, with private properties under the short `names`. */
export async function bundled(entryPoint, external, names) {
  const { outputFiles } = await build({ ...options(external, names), entryPoints: [entryPoint] });
  return outputFiles[0].text;
}

/** Short names for all private properties in `files`: the more often one is used, the shorter; and none that is a real name. */
export async function privateNames(files, resolveDir, external) {
  const contents = files.map((file, index) => `export * as entry${index} from '${file}';`).join('\n');
  const { mangleCache } = await build({ ...options(external, {}), stdin: { contents, resolveDir } });
  return mangleCache;
}

function options(external, mangleCache) {
  return {
    bundle: true,
    format: 'esm',
    target: 'es5',
    external,
    write: false,
    mangleProps: PRIVATE,
    mangleCache,
  };
}
