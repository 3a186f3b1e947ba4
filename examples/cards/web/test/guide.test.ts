/** The guide shows code of files that the tests run, and nothing else. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';

/** From `web/build`. */
const TOP = resolve(import.meta.dirname, '../../../..');
const lines = (text: string) => text.split('\n').map((line) => line.trim()).join('\n');

test('every snippet of the guide is part of its file', () => {
  const guide = readFileSync(join(TOP, 'docs/guide/cards.md'), 'utf8');
  const snippets = [...guide.matchAll(/<!-- from (\S+) -->\n```\w+\n([^]*?)```/g)];
  for (const [, file, code] of snippets) {
    const text = lines(readFileSync(join(TOP, file!), 'utf8'));
    assert.ok(text.includes(lines(code!)), `${file} has no\n${code}`);
  }
  assert.equal(snippets.length, guide.split('```').length >> 1, 'a snippet says where it is from');
});
