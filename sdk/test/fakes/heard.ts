/** Writes down what a host tells, in a short form that tests can compare. */

import type { Fact } from '../../src/host.js';

/** `open`, a message's text, `show`, `hide`, `[online, kind]`, or how a socket closed; `held` where the host still counts it. */
export function heard(): { seen: unknown[]; tell: (fact: Fact) => void } {
  const seen: unknown[] = [];
  const tell = (fact: Fact): void => {
    if (fact.type === 'socket_open') seen.push('open');
    else if (fact.type === 'socket_message') seen.push(fact.text);
    else if (fact.type === 'socket_closed') {
      const { code, reason, cause, held } = fact;
      seen.push(held ? { code, reason, cause, held } : { code, reason, cause });
    } else if (fact.type === 'network') seen.push([fact.online, fact.kind]);
    else seen.push(fact.type);
  };
  return { seen, tell };
}
