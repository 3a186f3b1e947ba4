/**
 * What the words of hosts mean: WeChat's and those of its likes, iOS in both languages, Android's, Chromium's. No host has
 * numbers that can be relied on. A cause is only claimed on evidence; `test/causes.test.ts` has the words that were seen.
 */

import type { DropCause } from '../vocabulary.js';

/** The most telling first: a time-out of DNS is one of DNS, a reset inside of TLS is the network's. */
const MEANINGS: { [cause in DropCause]?: RegExp } = {
  domain_not_allowed: /domain list|合法域名/,
  slots_exhausted: /max \w*(conc|socket)|already exist|同时最多|并行/,
  background: /interrupted/,
  dns_failed: /dns|resol|host ?name c|主机名/i,
  connect_timeout: /timed?.?out|超时/i,
  network_lost: /offline|was lost|disconn|unreach|reset|abort|abnormal|stream|not (open|connected)|D not exist|断开|中断/i,
  tls_failed: /TLS|SSL|CERT|certif|证书|安全连接/,
  refused: /refused|拒绝|[dr1] response|to the server|到服务器/i,
};

/**
 * The cause in an error message or close reason, where it tells. Hosts quote the address, which is the app's and proves
 * nothing: so it does not count.
 */
export function causeOf(words: string, url = ''): DropCause | undefined {
  const causes = Object.keys(MEANINGS) as DropCause[];
  const rest = words.replace(/\w+:\/\/[!-~]+/, '').split(url.split(/[:/?]+/)[1] || '\n') + '';
  return causes.filter((cause) => MEANINGS[cause]!.test(rest))[0];
}

/** What an error, a close, or whatever else a host gives for one, says: nothing where it says nothing. */
export function wordsOf(it: any): string {
  const words = it && (it.errMsg || it.errorMessage || it.message || it.reason || it.error || it);
  return words && typeof words !== 'object' ? '' + words : '';
}
