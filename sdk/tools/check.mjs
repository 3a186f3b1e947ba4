// Checks what ships: ES5 to the letter, small, and reachable by the names in package.json. Fails on any of them, and
// prints what others cost beside it.

import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { fileURLToPath } from 'node:url';
import { parse } from 'acorn';
import { printOthers } from './compare.mjs';
import { BESIDE, LINES } from './entries.mjs';

const KB = 1024;
/** What a line with one host may take, as `gzip -9` leaves it (docs/adr/0012); and with storage and msgpack, as one app holds all three. */
const GZIP_BYTES_MAX_HOST = 11.625 * KB;
const GZIP_BYTES_MAX_HOST_ALL = 15.875 * KB;
/** Hosts that may have one socket for the whole app carry `global-socket.ts`, too. */
const GZIP_BYTES_MORE_ONE_SOCKET = 0.375 * KB;
const ONE_SOCKET = ['alipay', 'baidu', 'jd'];
/** The same with all hosts. */
const GZIP_BYTES_MAX_INDEX = 12.875 * KB;
const GZIP_BYTES_MAX_EVERYTHING = 17.125 * KB;
const GZIP_BYTES_MAX_BESIDE = {
  heartbeat: 4.875 * KB,
  words: 3 * KB,
  page: KB,
  react: 0.875 * KB,
  vue: 0.875 * KB,
  vue2: KB,
  json: 0.625 * KB,
  'with-state': 0.625 * KB,
  recall: 0.5 * KB,
  debug: KB,
  storage: 3.5 * KB,
  msgpack: 1.6875 * KB,
};

const faults = [];
const read = (file) => readFileSync(fileURLToPath(new URL(`../${file}`, import.meta.url)), 'utf8');
const { exports } = JSON.parse(read('package.json'));

print('', 'bytes', 'gzip -9', 'at most');
for (const entry of Object.keys({ ...LINES, ...BESIDE })) {
  const name = entry === 'index' ? 'tautline' : `tautline/${entry}`;
  const most =
    GZIP_BYTES_MAX_BESIDE[entry] ??
    (entry === 'index' ? GZIP_BYTES_MAX_INDEX : GZIP_BYTES_MAX_HOST + moreOf(entry));
  const code = read(`dist/esm/${entry}.js`);
  mustBeSmall(name, code, most);
  mustBeEs5(
    `${name} (esm)`,
    code.replace(/^import\s*\{[^}]*\}\s*from\s*"[^"]*";?|export\s*\{[^}]*\};?\s*$/g, ''),
  );
  mustBeEs5(`${name} (cjs)`, read(`dist/mini/${entry}.js`));
  mustBeReachable(entry);
}

for (const line of Object.keys(LINES)) {
  const code = [line, 'storage', 'msgpack'].map((entry) => read(`dist/esm/${entry}.js`)).join('');
  const most = line === 'index' ? GZIP_BYTES_MAX_EVERYTHING : GZIP_BYTES_MAX_HOST_ALL + moreOf(line);
  mustBeSmall(`${line === 'index' ? 'all hosts' : line}, storage, msgpack`, code, most);
}
print('');
await printOthers(print);

function print(what, bytes = '', gzipped = '', most = '') {
  console.log(
    `${what.padEnd(32)} ${String(bytes).padStart(8)} ${String(gzipped).padStart(9)} ${String(most).padStart(9)}`,
  );
}

function moreOf(line) {
  return ONE_SOCKET.includes(line) ? GZIP_BYTES_MORE_ONE_SOCKET : 0;
}

function mustBeSmall(what, code, most) {
  const gzipped = gzipSync(code, { level: 9 }).length;
  print(what, code.length, gzipped, Math.floor(most));
  if (gzipped > most) faults.push(`${what} has ${gzipped} bytes gzipped, at most ${Math.floor(most)}`);
}

function mustBeEs5(what, code) {
  // The compiler's helpers are not part of what ships: what needs one fails when it runs.
  const helper = /\b__[a-z]\w*\(/.exec(code);
  if (helper) faults.push(`${what} needs ${helper[0]}…)`);
  try {
    parse(code, { ecmaVersion: 5, sourceType: 'script' });
  } catch (error) {
    faults.push(`${what} is not ES5: ${error.message}`);
  }
}

function mustBeReachable(entry) {
  const name = entry === 'index' ? '.' : `./${entry}`;
  for (const kind of ['import', 'require']) {
    const door = exports[name]?.[kind] ?? { nothing: `${kind} in exports of package.json for ${name}` };
    for (const file of Object.values(door)) mustBeThere(entry, file);
  }
  if (entry === 'index') return;
  const stub = JSON.parse(read(`${entry}/package.json`));
  for (const kind of ['main', 'module', 'types']) mustBeThere(entry, `${entry}/${stub[kind]}`);
}

function mustBeThere(entry, file) {
  try {
    read(file);
  } catch {
    faults.push(`${entry}: ${file} is not there`);
  }
}

for (const fault of faults) console.log(`FAILED: ${fault}`);
process.exit(faults.length ? 1 : 0);
