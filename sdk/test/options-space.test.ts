/** Whatever is given for a number: it is refused by its name when the line is made, or the line works. */

import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import { test } from 'node:test';
import { Tautline, type TautlineError, type TautlineOptions } from '../src/index.js';
import { randomFrom } from '../src/random.js';
import { DEFAULTS, Session } from '../src/session.js';
import { storage } from '../src/storage.js';
import { World } from './fakes/world.js';

const NUMBERS = Object.entries(DEFAULTS).flatMap(([name, usual]) =>
  typeof usual === 'number' ? [name] : [],
);
const VALUES = [
  NaN,
  -1,
  -0,
  0,
  0.5,
  1,
  1.5,
  2,
  7.25,
  1_000,
  2 ** 31,
  2 ** 53,
  1e300,
  Infinity,
  -Infinity,
  -0.1,
  '5',
  '',
  null,
  undefined,
  true,
  [],
  {},
  1n,
  () => 1,
];
/** Waiting no time for these, or having no socket, would be of no use to anybody. */
const FROM_1 = [
  'slots',
  'connect_timeout_ms',
  'auth_timeout_ms',
  'probe_ms',
  'retry_base_ms',
  'retry_max_ms',
];

function fits(name: string, value: unknown): boolean {
  if (value === undefined) return true;
  if (typeof value !== 'number' || !(value >= (FROM_1.includes(name) ? 1 : 0))) return false;
  return name !== 'slots' || value < 3;
}

/** One line in a world in which nothing waits for a time that is none. */
async function lives(options: object, storing: object): Promise<void> {
  const world = new World();
  const { setTimer } = world;
  world.setTimer = (delayMs, fire) => {
    assert.ok(!Number.isNaN(delayMs) && typeof delayMs === 'number', `a timer of ${delayMs}`);
    return setTimer(delayMs, fire);
  };
  const texts = new Map<string, string>();
  const device = {
    get: (key: string) => texts.get(key),
    set: (key: string, text: string) => void texts.set(key, text),
    remove: (key: string) => void texts.delete(key),
  };
  const line = new Tautline({
    url: 'wss://a.example/connect',
    host: world,
    storage: storage({ device, ...storing }),
    ...options,
  });
  line.on('error', (error) => assert.fail(String(error)));
  line.subscribe('room:7', {});
  let settled = 0;
  const settle = (): void => void settled++;
  line.publish('room:7', 1, { timeout: 1e9 }).then(settle, settle);
  await world.advance(500);
  world.cut();
  line.call('echo', 2).then(settle, settle);
  world.watcher?.({ type: 'hide' });
  await world.advance(500);
  world.watcher?.({ type: 'show' });
  await world.advance(500);
  line.close();
  await world.advance(3_000);
  assert.equal(settled, 2, 'every promise settles');
}

test('whatever is given for numbers, a line names what it refuses, or works', async () => {
  let refused = 0;
  for (let seed = 1; seed <= 600; seed++) {
    const random = randomFrom(seed);
    const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
    const options: { [name: string]: unknown } = {};
    for (let many = 1 + Math.floor(random() * 3); many; many--) options[pick(NUMBERS)] = pick(VALUES);
    const storing = { store_ms: pick(VALUES), store_bytes_max: pick(VALUES) };
    const wrong = Object.keys(options).filter((name) => !fits(name, options[name]));
    const what = `seed ${seed}: ${inspect(options)}`;
    if (wrong.length) {
      refused++;
      assert.throws(
        () =>
          new Tautline({ url: 'wss://a.example/connect', host: new World(), ...options } as TautlineOptions),
        (error: TautlineError) =>
          error.code === 'bad_option' &&
          wrong.some((name) => error.message.startsWith(`option ${name} cannot be `)),
        what,
      );
    } else {
      const { options_ } = new Session(options, seed);
      for (const name of NUMBERS)
        assert.ok(
          Number.isSafeInteger(options_[name as 'slots']) && options_[name as 'slots'] >= 0,
          `${what}: ${name}`,
        );
      await lives(options, storing).catch((error: Error) =>
        assert.fail(`${what}, ${inspect(storing)}: ${error.stack}`),
      );
    }
  }
  assert.ok(refused > 100 && refused < 500, `${refused} of 600 refused`);
});
