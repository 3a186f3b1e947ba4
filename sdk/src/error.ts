/** The one error that this package rejects with. */

import { assign } from './assign.js';

/** The codes of the gateway and of the SDK. */
export type ErrorCode =
  | 'unknown_verb'
  | 'bad_request'
  | 'permission_denied'
  | 'not_found'
  | 'too_large'
  | 'limit'
  | 'rate_limited'
  | 'timeout'
  | 'in_doubt'
  | 'unavailable'
  | 'overloaded'
  | 'gap'
  | 'internal'
  | 'expired'
  | 'overflow'
  | 'closed'
  | 'user_changed'
  | 'cancelled'
  | 'bad_data'
  | 'bad_option'
  | 'no_format'
  | 'no_host';

/** Why a request failed or a subscription ended. `C` are codes of the back end's own: `TautlineError<'card_refused'>`. */
export interface TautlineError<C extends string = never> extends Error {
  /** For programs: `timeout`, `in_doubt`, `permission_denied`, … or a back end's own. Never changes its meaning. */
  code: ErrorCode | C;
  /** When trying again may help, in milliseconds, where the gateway says so. */
  retry_after_ms?: number | null | undefined;
}

interface TautlineErrorConstructor {
  new (from: {
    code: string;
    message?: string | undefined;
    retry_after_ms?: number | null | undefined;
  }): TautlineError;
  prototype: TautlineError;
}

/** Built by hand: compiled to ES5, a class that extends `Error` makes instances of `Error` alone. */
export const TautlineError = function (this: TautlineError, error: TautlineError): void {
  assign(this, error);
  this.name = 'TautlineError';
  this.message = error.message || error.code.replace(/_/g, ' ');
  // Begun as the name says, where an engine begins it at all.
  this.stack = String(new Error(this.message).stack).replace(/^Error/, this.name);
} as unknown as TautlineErrorConstructor;
TautlineError.prototype = Object.create(Error.prototype);
