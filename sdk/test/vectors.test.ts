/** The session does exactly what `spec/vectors/client` says, as the one in Rust does. */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, test } from 'node:test';
import { Session } from '../src/session.js';
import { storing, type StoringInput, type StoringOptions } from '../src/storing.js';
import type { Input, Output, SessionOptions } from '../src/vocabulary.js';

/** What `wall_ms` is at `mono_ms` 0. */
const WALL_START_MS = 1_763_666_000_000;
/** From `build/node/test`. */
const FOLDER = resolve(__dirname, '../../../../spec/vectors/client');

interface Step {
  at: number;
  in: (Input | StoringInput) & { packets?: unknown[] };
  /** What is to be stored before anything of `out` is done; `"clear"`: nothing any more. */
  store?: object | 'clear';
  out: object[];
  /** The `timeout` comes after its time. */
  late?: boolean;
  /** What `pollTimeout` gives afterwards; `null`: no timer is needed. */
  next: number | null;
}

interface Vector {
  name: string;
  options?: Partial<SessionOptions> & StoringOptions;
  seed: number;
  steps: Step[];
}

function run({ options, seed, steps }: Vector): void {
  const session = new Session(options ?? {}, seed);
  // A line without storage knows nothing of it: vectors that do not speak of it run without.
  const stores = steps.some((step) => step.in.type === 'restore');
  const storage = stores ? storing(session, options ?? {}) : undefined;
  const feed = (at: number, input: Input): object[] => {
    session.handleInput({ mono_ms: at, wall_ms: WALL_START_MS + at }, input);
    const outputs: object[] = [];
    for (let output = session.pollOutput(); output; output = session.pollOutput()) outputs.push(shown(output));
    return outputs;
  };
  steps.forEach((step, index) => {
    const where = `step ${index} at ${step.at}: ${JSON.stringify(step.in)}`;
    if (step.in.type === 'timeout' && !step.late) assert.equal(session.pollTimeout(), step.at, `due before ${where}`);
    const out = feed(step.at, fed(step.in));
    const store = storage?.pollStore_();
    assert.deepEqual(store === '' ? 'clear' : store && JSON.parse(store), step.store, `stored after ${where}`);
    assert.deepEqual(out, step.out, where);
    assert.equal(session.pollTimeout() ?? null, step.next, `next after ${where}`);
  });
}

/** An input in the form of the session: `packets` written as `text`. */
function fed(input: Step['in']): Input {
  const { packets, ...rest } = input;
  // Damage is written down as a text that is no session.
  if (input.type === 'restore' && typeof input.stored !== 'string') return { ...input, stored: JSON.stringify(input.stored) } as never;
  if (!packets) return input as Input;
  return { ...rest, text: packets.map((packet) => JSON.stringify(packet)).join('\n') } as Input;
}

/** An output in the form of the vectors: JSON, and `text` read as `packets`. */
function shown(output: Output): object {
  const { text, ...rest } = output as { text?: string };
  if (text === undefined) return JSON.parse(JSON.stringify(output)) as object;
  const packets = text.split('\n').filter((line) => line !== '');
  return { ...rest, packets: packets.map((packet) => JSON.parse(packet) as object) };
}

for (const file of readdirSync(FOLDER).sort()) {
  const { vectors } = JSON.parse(readFileSync(resolve(FOLDER, file), 'utf8')) as { vectors: Vector[] };
  describe(file, () => {
    for (const vector of vectors) test(vector.name, () => run(vector));
  });
}
