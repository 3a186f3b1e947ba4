/**
 * The session does what the one in Rust did in hundreds of storms, event by event. `npm run test:traces` runs it, and `TRACES`
 * names the program that records them (`cargo build -p tautline-sim --example traces`).
 */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { Machine, shippedParts, type Step, type Vector } from '../machine.js';
import { KINDS, kindsOf } from './kinds.js';

const STORMS = 600;
const TRACES_MIN = 2000;

/** How often each kind of input and output was seen. */
const seen: { [kind: string]: number } = Object.create(null);
let events = 0;

const SHIPPED = shippedParts();

/** What the machine does about a step; a fault of its own is told like anything else that it should not do. */
function done(machine: Machine, step: Step): object {
  try {
    return machine.feed(step);
  } catch (error) {
    return { threw: String(error) };
  }
}

/** Feeds a trace to the source, and to what ships. Gives how it went, where it did not go as in Rust. */
function divergence(trace: Vector): string | undefined {
  const machine = new Machine(trace);
  const shipped = new Machine(trace, SHIPPED);
  for (const [index, step] of trace.steps.entries()) {
    const typescript = done(machine, step);
    for (const kind of kindsOf(step)) seen[kind] = (seen[kind] ?? 0) + 1;
    events++;
    const rust = { store: step.store, out: step.out, next: step.next };
    const minified = done(shipped, step);
    if (isDeepStrictEqual(typescript, rust) && isDeepStrictEqual(minified, rust)) continue;
    const told = Object.entries({
      told: step.in,
      Rust: rust,
      TypeScript: typescript,
      'as it ships': minified,
    });
    return `${trace.name}, event ${index} at ${step.at} ms:${told.map(([who, what]) => `\n  ${who.padEnd(11)} ${JSON.stringify(what)}`).join('')}`;
  }
  return undefined;
}

test('every event of every trace leads to what it led to in Rust', async () => {
  const recorder = process.env['TRACES'];
  assert.ok(
    recorder,
    'TRACES names the program that records them: `cargo xtask test --only traces` knows it',
  );
  const recording = spawn(recorder, ['0', String(STORMS)], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(recording, 'exit');
  let traces = 0;
  for await (const line of createInterface({ input: recording.stdout })) {
    traces++;
    const diverged = divergence(JSON.parse(line) as Vector);
    if (!diverged) continue;
    recording.kill();
    assert.fail(diverged);
  }
  assert.deepEqual(await ended, [0, null], 'the storms were not recorded to their end');
  const kinds = Object.keys(seen).sort();
  console.log(
    `${STORMS} storms, ${traces} traces, ${events} events; ${kinds.map((kind) => `${kind} ${seen[kind]}`).join(', ')}`,
  );
  assert.ok(traces >= TRACES_MIN, `only ${traces} traces`);
  assert.deepEqual(
    KINDS.filter((kind) => !seen[kind]),
    [],
    'never seen, and so not compared',
  );
});
