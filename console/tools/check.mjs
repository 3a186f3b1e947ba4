// Checks what ships: small, of one origin, and without what the policy of the pages forbids. Fails on any of them.

import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

/** All files of the pages, each as `gzip -9` leaves it. */
const GZIP_BYTES_MAX = 120 * 1024;
const DIST = fileURLToPath(new URL('../dist', import.meta.url));

const faults = [];
let all = 0;
for (const name of readdirSync(DIST, { recursive: true, withFileTypes: true })) {
  if (!name.isFile()) continue;
  const path = `${name.parentPath ?? name.path}/${name.name}`;
  const bytes = readFileSync(path);
  const gzipped = gzipSync(bytes, { level: 9 }).length;
  all += gzipped;
  console.log(
    `${path.slice(DIST.length + 1).padEnd(36)} ${String(bytes.length).padStart(8)} ${String(gzipped).padStart(8)}`,
  );
}
console.log(`${'all'.padEnd(45)} ${String(all).padStart(8)}, at most ${GZIP_BYTES_MAX}`);
if (all > GZIP_BYTES_MAX) faults.push(`the pages have ${all} bytes gzipped, at most ${GZIP_BYTES_MAX}`);

const page = readFileSync(`${DIST}/index.html`, 'utf8');
if (/<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)/.test(page))
  faults.push('index.html has inline script or style');
for (const [, address] of page.matchAll(/(?:src|href)="([^"]*)"/g))
  if (!address.startsWith('./')) faults.push(`index.html names ${address}, which is not relative`);

for (const fault of faults) console.error(fault);
process.exitCode = faults.length ? 1 : 0;
