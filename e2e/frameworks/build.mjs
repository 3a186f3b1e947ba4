// Builds the app of one framework with its own tool chain, around the SDK as npm would publish it: `node build.mjs taro`.

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const e2e = fileURLToPath(new URL('..', import.meta.url));
const app = join(e2e, process.argv[2]);
const run = (program, args, cwd) => execFileSync(program, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });

// Unpacked rather than named in the lock file, which would hold a checksum that every change of the SDK makes wrong; and no
// link, behind which the app would find the SDK's own Vue.
mkdirSync(join(e2e, 'build'), { recursive: true });
const packed = mkdtempSync(join(e2e, 'build/sdk-'));
const [{ filename }] = JSON.parse(run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', packed], join(e2e, '../sdk')));
const installed = join(app, 'node_modules/tautline');
rmSync(installed, { recursive: true, force: true });
mkdirSync(installed);
run('tar', ['-xzf', join(packed, filename), '-C', installed, '--strip-components=1'], e2e);
rmSync(packed, { recursive: true, force: true });

console.log(run('npm', ['run', '--silent', 'build'], app));
