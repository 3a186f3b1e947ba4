/** The session does exactly what `spec/vectors/client` says, as the one in Rust does; and so does what ships. */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, test } from 'node:test';
import { Machine, shippedParts, type Parts, type Vector } from './machine.js';

/** From `build/node/test`. */
const FOLDER = resolve(__dirname, '../../../../spec/vectors/client');

const SHIPPED = shippedParts();

function run(vector: Vector, parts?: Parts): void {
  const machine = new Machine(vector, parts);
  vector.steps.forEach((step, index) => {
    const where = `step ${index} at ${step.at}: ${JSON.stringify(step.in)}`;
    if (step.in.type === 'timeout' && !step.late)
      assert.equal(machine.session.pollTimeout(), step.at, `due before ${where}`);
    const { store, out, next } = machine.feed(step);
    assert.deepEqual(store, step.store, `stored after ${where}`);
    assert.deepEqual(out, step.out, where);
    assert.equal(next, step.next, `next after ${where}`);
  });
}

for (const file of readdirSync(FOLDER).sort()) {
  const { vectors } = JSON.parse(readFileSync(resolve(FOLDER, file), 'utf8')) as { vectors: Vector[] };
  describe(file, () => {
    for (const vector of vectors) {
      test(vector.name, () => {
        run(vector);
        run(vector, SHIPPED);
      });
    }
  });
}
