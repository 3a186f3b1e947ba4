/** The one error that this package rejects with. */

import { merged } from './merged.js';

/** Why a request failed or a subscription ended. */
export interface TautlineError extends Error {
  /** For programs: `timeout`, `in_doubt`, `permission_denied`, … or a back end's own. Never changes its meaning. */
  code: string;
  /** When trying again may help, in milliseconds, where the gateway says so. */
  retry_after_ms?: number | null | undefined;
}

interface TautlineErrorConstructor {
  new (from: { code: string; message?: string | undefined; retry_after_ms?: number | null | undefined }): TautlineError;
  prototype: TautlineError;
}

/** Built by hand: compiled to ES5, a class that extends `Error` makes instances of `Error` alone. */
export const TautlineError = function (this: TautlineError, error: TautlineError): void {
  merged(this, error);
  this.name = 'TautlineError';
  this.message = error.message || error.code;
  this.stack = new Error(error.code).stack;
} as unknown as TautlineErrorConstructor;
TautlineError.prototype = Object.create(Error.prototype);
