/**
 * Apps that call everything from every handler, on phones that freeze, lose, double, destroy and come back, against the real
 * hub: nothing is lost, doubled or reordered for any handler. `npm run model -- --seeds 5000` for more of it.
 */

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { Tautline } from '../../src/index.js';
import { storage } from '../../src/storage.js';
import { runHistory } from './history.js';
import { FAULTS, planted } from './planted.js';
import { Server } from './server.js';

/** Enough for half a minute. */
const SEEDS = 200;
/** Within so many a fault is found. */
const SEEDS_UNTIL_FOUND = 60;
/** Seeds that found something once. */
const FOUND = [41, 46, 50, 176, 405];

const server = new Server();
after(() => server.end());

test(`${SEEDS} histories keep every promise`, async () => {
  for (let seed = 0; seed < SEEDS; seed++) {
    const { faults } = await runHistory(seed, server, { Tautline, storage });
    assert.deepEqual(faults, [], `seed ${seed}`);
  }
});

for (const seed of FOUND) {
  test(`seed ${seed}, which found something once, finds nothing`, async () => {
    const { faults } = await runHistory(seed, server, { Tautline, storage });
    assert.deepEqual(faults, []);
  });
}

FAULTS.forEach((fault, number) => {
  test(`found: ${fault.name}`, async () => {
    const sdk = planted(fault, number);
    for (let seed = 0; seed < SEEDS_UNTIL_FOUND; seed++) {
      const { faults } = await runHistory(seed, server, sdk);
      if (faults.length) return;
    }
    assert.fail(`not within ${SEEDS_UNTIL_FOUND} histories`);
  });
});
