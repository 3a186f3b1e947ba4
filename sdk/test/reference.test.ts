/** The reference that ships has what an app can call, in the words of its types. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { test } from 'node:test';

const reference = readFileSync(resolve(__dirname, '../../../dist/reference.md'), 'utf8');

test('every entry is in the reference, with what it says of itself', () => {
  for (const entry of [
    '',
    '/heartbeat',
    '/words',
    '/page',
    '/react',
    '/vue',
    '/debug',
    '/storage',
    '/msgpack',
  ]) {
    assert.match(reference, new RegExp(`^## \`tautline${entry}\`\\n\\n\\S`, 'm'), entry);
  }
});

test('methods and options come with their comments and defaults', () => {
  assert.match(reference, /### Line\n[^]*Executed at most once[^]*\n {4}publish</);
  assert.match(reference, /### SessionOptions\n[^]*@default 30000[^]*request_ttl_ms: number;/);
  assert.match(reference, /### WebsocketHeartbeat\n/);
});

test('what is private stays out of it', () => {
  assert.doesNotMatch(reference, /\b\w+_: /);
});
