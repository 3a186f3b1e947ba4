/** `npm run model -- --seeds 1000 [--from 0] [--tell]`: histories one after the other; what breaks a promise is printed with its seed. */

import { Tautline } from '../../src/index.js';
import { storage } from '../../src/storage.js';
import { runHistory } from './history.js';
import { Server } from './server.js';

function option(name: string, otherwise: number): number {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? otherwise : Number(process.argv[at + 1]);
}

async function main(): Promise<void> {
  const [from, seeds] = [option('from', 0), option('seeds', 100)];
  const server = new Server();
  let failed = 0;
  for (let seed = from; seed < from + seeds; seed++) {
    const { faults, story } = await runHistory(seed, server, { Tautline, storage });
    if (process.argv.includes('--tell')) console.log(story.join('\n'));
    if (!faults.length) continue;
    failed++;
    console.log(`seed ${seed}:\n  ${faults.slice(0, 5).join('\n  ')}`);
  }
  console.log(`${seeds} histories from seed ${from}, ${failed} of them with faults`);
  server.end();
  process.exitCode = failed ? 1 : 0;
}

void main();
