/**
 * What the words of hosts mean: WeChat's and those of its likes, iOS in both languages, Android's, Chromium's. No host has
 * numbers that can be relied on. A cause is only claimed on evidence; `test/causes.test.ts` has the words that were seen.
 */

import type { DropCause } from '../types.js';

/** The most telling first: a time-out of DNS is one of DNS, a reset inside of TLS is the network's. */
const MEANINGS: { [cause in DropCause]?: RegExp } = {
  domain_not_allowed: /not in domain|access this domain|合法域名|域名不合法/,
  slots_exhausted: /max \w*(conc|socket)|already exist|已经?存在|同时最多|并行/,
  background: /(^|fail)\W*interrupted|in background|suspen/i,
  network_changed: /K_CHANGED/,
  // A certificate lists names as `DNS:a.example`.
  dns_failed: /dns(?!:\w)|resol|host ?name c|with hostname|nodename|getaddr|主机名/i,
  connect_timeout: /timed?.?out|handshake timed|timer exp|超时/i,
  network_lost:
    /offline|was lost|disconn|unreach|reset|abort|abnormal|stream|not.(open|connected)|D not exist|broken pipe|EPIPE|hang up|no route|network (is down|inter)|断开|中断/i,
  tls_failed: /TLS|SSL|CERT|certif|not verified|证书/,
  refused: /refused|拒绝|[dr1] response|to (the )?server|到服务器|invalid http ?(status|code)|tunnel/i,
};

/**
 * The cause in an error message or close reason, where it tells. Hosts quote the address, which is the app's and proves
 * nothing: so it does not count.
 */
export function causeOf(words: string, url = ''): DropCause | undefined {
  const causes = Object.keys(MEANINGS) as DropCause[];
  const rest = words.replace(/\w+:\/\/[!-~]+/g, '').split(url.split(/[:/?]+/)[1] || '\n') + '';
  return causes.filter((cause) => MEANINGS[cause]!.test(rest))[0];
}

/** What an error, a close, or whatever else a host gives for one, says: nothing where it says nothing. */
export function messageOf(given: unknown): string {
  const it = given as { [name: string]: unknown } | undefined;
  const words = it && (it.errMsg || it.errorMessage || it.message || it.reason || it.error || it);
  return words && typeof words !== 'object' ? '' + words : '';
}
