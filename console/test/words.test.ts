/** The table of words in both languages. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SCREENS } from '../src/lib/route.ts';
import { GROUPS } from '../src/lib/story.ts';
import { fill } from '../src/lib/words/fill.ts';
import { words } from '../src/lib/words/index.ts';

const placeholders = (text: string) => [...text.matchAll(/\{\w+\}/g)].map(([it]) => it).sort();

test('both languages say each word with the same values', () => {
  for (const [word, [en, zh]] of Object.entries(words)) {
    assert.ok(en.trim() && zh.trim(), word);
    assert.deepEqual(placeholders(zh), placeholders(en), word);
  }
});

test('parts of the table do not overwrite each other', async () => {
  const parts = await Promise.all([
    import('../src/lib/words/shared.ts'),
    import('../src/lib/words/screens.ts'),
    import('../src/lib/words/acts.ts'),
    import('../src/lib/words/names.ts'),
  ]);
  const keys = parts.flatMap((part) => Object.values(part)).flatMap((part) => Object.keys(part as object));
  assert.deepEqual(keys.sort(), Object.keys(words).sort());
});

test('screens and groups of a story have names', () => {
  for (const screen of SCREENS) assert.ok(`nav.${screen}` in words, screen);
  for (const group of GROUPS) assert.ok(`story.${group}` in words, group);
});

test('values are filled in as text and once', () => {
  assert.equal(fill('{a} and {b} and {c}', { a: '{b}', b: '$&<b>' }), '{b} and $&<b> and {c}');
});
