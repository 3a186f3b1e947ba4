/** The last word on a connection: why it ends, and whether to come back (protocol, section 7). */

import type { DropCause } from './types.js';

/** Body of `bye`. */
export interface Bye {
  code: string;
  message?: string | undefined;
  /** When the client may dial again. */
  reconnect: 'now' | 'later' | 'never';
  retry_after_ms?: number | null;
  /** With `taken_over`: the highest that the server knows. */
  attempt?: number;
}

/** For each code: the WebSocket close code that repeats it, and its cause. */
const BYES: { [code: string]: [number, DropCause] } = {
  server_restart: [4001, 'server_restart'],
  overloaded: [4002, 'refused'],
  rate_limited: [4003, 'refused'],
  hello_timeout: [4010, 'connect_timeout'],
  peer_silent: [4011, 'peer_silent'],
  slow_peer: [4012, 'protocol_error'],
  challenge_failed: [4013, 'auth_failed'],
  token_expired: [4101, 'auth_failed'],
  unauthorized: [4102, 'auth_failed'],
  kicked: [4103, 'kicked'],
  banned: [4104, 'kicked'],
  taken_over: [4105, 'taken_over'],
  bad_packet: [4201, 'protocol_error'],
  too_large: [4202, 'protocol_error'],
  unsupported_version: [4203, 'protocol_error'],
};

/** The close code and the cause of a code; both are missing for one that this version does not know. */
export function meaningOf(code: string): { readonly 0?: number; readonly 1?: DropCause } {
  // What every object has, `constructor` for one, has neither.
  return BYES[code] || {};
}

/** The last word behind a close code, where the packet itself was lost; nothing for one that this version does not know. */
export function byeOfCloseCode(closeCode: number, message: string | undefined): Bye | '' | undefined {
  const code = Object.keys(BYES).filter((known) => BYES[known]![0] === closeCode)[0];
  const later = closeCode < 4010 || closeCode === 4013;
  return code && { code, message, reconnect: later ? 'later' : closeCode < 4102 ? 'now' : 'never' };
}
