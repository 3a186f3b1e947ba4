/** The last word on a connection: why it ends, and whether to come back (protocol, section 7). */

import type { DropCause } from './vocabulary.js';

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

/** Each code and its cause, where that has another name, by the WebSocket close code that repeats it. */
const BYES: { [closeCode: number]: [string, DropCause?] } = {
  4001: ['server_restart'],
  4002: ['overloaded', 'refused'],
  4003: ['rate_limited', 'refused'],
  4010: ['hello_timeout', 'connect_timeout'],
  4011: ['peer_silent'],
  4012: ['slow_peer', 'protocol_error'],
  4013: ['challenge_failed', 'auth_failed'],
  4101: ['token_expired', 'auth_failed'],
  4102: ['unauthorized', 'auth_failed'],
  4103: ['kicked'],
  4104: ['banned', 'kicked'],
  4105: ['taken_over'],
  4201: ['bad_packet', 'protocol_error'],
  4202: ['too_large', 'protocol_error'],
  4203: ['unsupported_version', 'protocol_error'],
};

/** The close code that repeats a code; not a number for an unknown one. */
export function closeCodeOf(code: string): number {
  return +Object.keys(BYES).filter((closeCode) => BYES[+closeCode]![0] === code)[0]!;
}

/** The cause that a close code stands for; nothing for one that is not of the protocol. */
export function causeOfCloseCode(closeCode: number): DropCause | undefined {
  const known = BYES[closeCode];
  return known && (known[1] || (known[0] as DropCause));
}

/** The last word behind a close code of the protocol, where the packet itself was lost. */
export function byeOfCloseCode(closeCode: number, message: string | undefined): Bye {
  const later = closeCode < 4010 || closeCode === 4013;
  return { code: BYES[closeCode]![0], message, reconnect: later ? 'later' : closeCode < 4102 ? 'now' : 'never' };
}
