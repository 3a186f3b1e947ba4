/** What the pages send, and what they make of answers. */

import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { Api, Problem, query, segment } from '../src/lib/api.ts';

/** An API whose server answers this, and what it was asked. */
function serverOf(t: TestContext, status: number, body: unknown, headers: Record<string, string> = {}) {
  const asked: { url: string; init: RequestInit }[] = [];
  t.mock.method(globalThis, 'fetch', async (url: string, init: RequestInit) => {
    asked.push({ url, init });
    return new Response(status === 204 ? null : JSON.stringify(body), { status, headers });
  });
  const api = new Api('https://ops.example/a/prefix/console/');
  api.account = { name: 'ann', scopes: ['read'], csrf: 'c5rf', expires_at: 0 };
  return { api, asked };
}

test('act carries its token and its reason, behind any prefix', async (t) => {
  const { api, asked } = serverOf(t, 200, { sessions: 1 });
  await api.post('api/v1/kick', { target: { user: 'u' } }, '因为 <b>');
  const { url, init } = asked[0]!;
  const headers = init.headers as Record<string, string>;
  assert.equal(url, 'https://ops.example/a/prefix/console/api/v1/kick');
  assert.equal(headers['x-csrf-token'], 'c5rf');
  assert.equal(decodeURIComponent(headers['x-reason']!), '因为 <b>');
  assert.match(headers['x-reason']!, /^[\x20-\x7e]*$/);
});

test('question carries no token and no reason', async (t) => {
  const { api, asked } = serverOf(t, 200, {});
  await api.ask('overview');
  assert.deepEqual(asked[0]!.init.headers, { accept: 'application/json' });
});

test('refusal is told with its code, its words and its wait', async (t) => {
  const { api } = serverOf(t, 429, { code: 'rate_limited', detail: 'too fast' }, { 'retry-after': '7' });
  await assert.rejects(api.post('session', {}), (error: Problem) => {
    assert.deepEqual(
      [error.status, error.code, error.message, error.retryAfterMs],
      [429, 'rate_limited', 'too fast', 7_000],
    );
    return true;
  });
});

test('session that the server forgot signs out once', async (t) => {
  const { api } = serverOf(t, 401, { code: 'unauthorized' });
  let ended = 0;
  api.onSignedOut = () => ended++;
  await assert.rejects(api.ask('session'), Problem);
  assert.equal(ended, 0);
  await assert.rejects(api.ask('overview'), Problem);
  assert.deepEqual([ended, api.account], [1, undefined]);
});

test('socket is beside the page, or where the server says', () => {
  const api = new Api('https://ops.example/a/console/');
  assert.equal(api.socketUrl('connect'), 'wss://ops.example/a/console/connect');
  assert.equal(api.socketUrl('/connect'), 'wss://ops.example/connect');
  assert.equal(api.socketUrl('ws://127.0.0.1:1/connect'), 'ws://127.0.0.1:1/connect');
});

test('names stay within their part of the path', () => {
  assert.equal(segment('../a/b?c'), '..%2Fa%2Fb%3Fc');
  assert.equal(query({ user: 'a&b=c', after: undefined, limit: 5, sdk: '' }), '?user=a%26b%3Dc&limit=5');
  assert.equal(query({}), '');
});
