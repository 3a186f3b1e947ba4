/** The code in our guides does what it says, and goes on doing so: nothing is heard twice, and no handlers gather. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Kitchen, recipes, type Recipe } from './fakes/recipes.js';

/** Runs a recipe through three cuts. */
async function cooked(recipe: Recipe) {
  const kitchen = new Kitchen();
  await kitchen.run(recipe);
  const listeners = kitchen.listeners;
  for (const cut of ['first', 'second', 'third']) await kitchen.cut(cut);
  const more = kitchen.listeners - listeners;
  await kitchen.end();
  return { kitchen, more, heard: [...kitchen.heard.values()] };
}

const ALL = recipes();

for (const recipe of ALL) {
  test(`${recipe.where} hears nothing twice through three cuts`, async () => {
    const { kitchen, more, heard } = await cooked(recipe);
    assert.deepEqual(kitchen.errors, []);
    assert.equal(more, 0, 'handlers that came with the cuts');
    const subscribes = /\b(subscribe\w*|useSubscription|inbox)\(/.test(recipe.code);
    assert.ok(subscribes ? heard.length >= 6 : heard.length === 0, `${heard.length} publications`);
    assert.deepEqual(
      heard.filter((times) => times !== 1),
      [],
    );
    if (/WebsocketHeartbeat\(/.test(recipe.code)) {
      const pushed = kitchen.handled.filter((data) => /^(first|second|third)$/.test(String(data)));
      assert.deepEqual(pushed, ['first', 'second', 'third']);
    }
  });
}

test('every guide has code, and the same in both languages', () => {
  const counts: Record<string, number> = {};
  for (const { where } of ALL) {
    const file = where.replace(/:.*/, '');
    counts[file] = (counts[file] ?? 0) + 1;
  }
  const files = Object.keys(counts);
  assert.ok(files.length >= 10, files.join());
  for (const file of files) assert.equal(counts[file], counts[file.replace('.zh-CN', '')], file);
});

test('a handler for each welcome is found out', async () => {
  const code =
    "line.on('welcome', ({ user }) => user && line.subscribe(`user:${user}`, { from: 'acked', onPublication() {} })); line.connect();";
  const { more, heard } = await cooked({ where: 'here', language: 'js', code });
  assert.equal(more, 3);
  assert.ok(Math.max(...heard) > 1);
});
