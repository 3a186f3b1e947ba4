/** Hints that a developer can act on. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hint } from '../src/hints.js';
import { WORDS_EN, WORDS_ZH } from '../src/messages.js';

test('a domain that is missing in the list is named, with where the list is, always as wss', () => {
  const where = { url: 'ws://a.example:8443/connect?x=1', platform: 'wechat' };
  const english = hint({ cause: 'domain_not_allowed' }, where);
  assert.match(
    english,
    /^Add wss:\/\/a\.example:8443 to the socket domains of your mini program \(mp\.weixin\.qq\.com\)/,
  );
  assert.match(
    hint({ cause: 'domain_not_allowed' }, { ...where, language: 'zh' }),
    /wss:\/\/a\.example:8443.*合法域名/,
  );
});

test('a plain address is pointed out where it may be the reason', () => {
  assert.match(hint({ cause: 'tls_failed' }, { url: 'ws://192.168.1.7:8000/connect' }), /only wss:/);
  assert.doesNotMatch(hint({ cause: 'tls_failed' }, { url: 'wss://a.example/connect' }), /only wss:/);
});

test('an address that was not reached is said', () => {
  assert.match(hint({ cause: 'dns_failed' }, { url: 'wss://a.exmaple/connect' }), /wss:\/\/a\.exmaple\.$/);
});

test('every other cause has its sentence, in both languages, whatever is known', () => {
  for (const cause of Object.keys(WORDS_EN) as (keyof typeof WORDS_EN)[]) {
    assert.ok(hint({ cause }).length > 10, cause);
    if (cause !== 'domain_not_allowed') assert.equal(hint({ cause }, { language: 'zh' }), WORDS_ZH[cause]);
  }
});

test('an address that Alipay wants with TLS is pointed out, and not taken for a missing domain', () => {
  const said = hint({ cause: 'refused' }, { url: 'ws://a.example/connect', platform: 'alipay' });
  assert.match(said, /ws:\/\/a\.example.*only wss:/);
  assert.doesNotMatch(said, /Add /);
});

test('a cause of a later version has the sentence of an unknown one', () => {
  assert.equal(hint({ cause: 'new_fault' as 'unknown' }), WORDS_EN.unknown);
});
