/** The code of the page about ids of 64 bits, in both languages, is run, and prints what its comments say. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { customJson } from '../src/json.js';
import { Tautline, type TautlineOptions } from '../src/index.js';
import { World } from './fakes/world.js';

const SDK = resolve(__dirname, '../../..');
const ID = '9007199254740993';

/** What the code printed, with a publication of the back end's on `orders`; and what it has sent. */
async function run(code: string): Promise<{ printed: string[]; sent: string }> {
  const world = new World();
  const printed: string[] = [];
  let sent = '';
  const { receive } = world.gateway;
  world.gateway.receive = (end, text, now) => {
    sent += text;
    receive.call(world.gateway, end, text, now);
  };
  const modules: { [name: string]: unknown } = {
    'tautline/browser': {
      Tautline: function (options: TautlineOptions) {
        return new Tautline({ ...options, host: world });
      },
    },
    'tautline/json': { customJson },
  };
  const body = code
    .replace(/^import (\{.*\}) from '(.*)';$/gm, "const $1 = use('$2');")
    .replace(/^import (\w+) from '(.*)';$/gm, "const $1 = use('$2');");
  const use = (name: string): unknown => modules[name] ?? (require(name) as unknown);
  new Function('use', 'console', body)(use, { log: (what: unknown) => printed.push(String(what)) });
  await world.advance(100);
  if (world.wires.length)
    world.wire.received(`{"pub":{"channel":"orders","epoch":"k1","offset":1,"at":1,"data":{"id":${ID}}}}`);
  await world.advance(100);
  return { printed, sent };
}

const blocks = (page: string): string[] =>
  [...readFileSync(resolve(SDK, 'docs', page), 'utf8').matchAll(/```js\n([^]*?)```/g)].map(
    ([, code]) => code!,
  );

test('the code of the page about big numbers is the same in both languages', () => {
  const bare = (page: string) => blocks(page).map((code) => code.replace(/\/\/.*$/gm, '//'));
  assert.deepEqual(bare('big-numbers.md'), bare('big-numbers.zh-CN.md'));
  assert.equal(blocks('big-numbers.md').length, 5);
});

for (const [index, code] of blocks('big-numbers.md').entries()) {
  test(`code ${index + 1} of the page about big numbers does what its comment says`, async () => {
    const { printed, sent } = await run(code);
    const [, what, said] = /console\.log|publish/.test(code)
      ? /(console\.log|publish).*\/\/ (?:sends )?(.*)$/m.exec(code)!
      : [];
    if (what === 'publish') assert.ok(sent.includes(`"data":${said}`), sent);
    else assert.deepEqual(printed, [said!.replace(/^"|"$/g, '')]);
  });
}
