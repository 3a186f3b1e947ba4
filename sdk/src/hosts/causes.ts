/** What the words of hosts mean. They are in English or Chinese, of any version; no host has numbers that can be relied on. */

import type { DropCause } from '../vocabulary.js';

/** The most telling first. */
const MEANINGS: { [cause in DropCause]?: RegExp } = {
  domain_not_allowed: /domain|域名/,
  slots_exhausted: /exceed|already|同时|并行/,
  background: /interrupted/,
  tls_failed: /tls|ssl|cert/i,
  dns_failed: /dns|resolve/i,
  connect_timeout: /time|超时/,
  refused: /refused|status/,
  network_lost: /network|abnormal|stream end|not /i,
};

/** The cause in an error message or close reason, where it tells. What is missing is tested as `undefined`, which tells nothing. */
export function causeOf(words: string | undefined): DropCause | undefined {
  const causes = Object.keys(MEANINGS) as DropCause[];
  return causes.filter((cause) => MEANINGS[cause]!.test(words!))[0];
}
