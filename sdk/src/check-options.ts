/** Checks what a line is made with: a slip is told when the line is made, by the name of the option. */

import { TautlineError } from './error.js';
import { assign } from './assign.js';
import type { TautlineOptions } from './options.js';
import { DEFAULTS } from './session.js';
import { LISTENER_DEFAULTS } from './listeners.js';

/** True of what can be dialled. */
export function isUrl(url: string): boolean {
  return /^wss?:\/\/[^/]/i.test(url);
}

/**
 * Checks `options`. What passes as a number the session makes whole.
 *
 * @throws TautlineError `bad_option`
 */
export function checkOptions(options: TautlineOptions): void {
  const { url, host, storage, format, slots, outbox_full } = options;

  function check(name: string, fits: unknown): void {
    const value: unknown = options[name as 'url'];
    if (fits) return;
    throw new TautlineError({
      code: 'bad_option',
      message: 'option ' + name + ' cannot be ' + (typeof value === 'string' ? '"' + value + '"' : value),
    });
  }
  check('url', typeof url === 'function' || isUrl(url));
  check('host', !host || host.dial);
  // `storage` itself, which makes one, takes one parameter.
  check('storage', !storage || storage.length > 1);
  // Where an import has gone wrong it is there, and undefined.
  check('format', !('format' in options) || (format && format.write_));
  const defaults = assign(assign({}, DEFAULTS), LISTENER_DEFAULTS);
  Object.keys(defaults).forEach((name) => {
    const value: unknown = options[name as 'slots'];
    const usual: unknown = defaults[name as 'slots'];
    // To wait no time at all, and to dial again at once for ever, is nobody's wish.
    const least = /slots|timeout|probe|retry/.test(name) ? 1 : 0;
    check(
      name,
      value === undefined || (typeof value === typeof usual && (typeof value !== 'number' || value >= least)),
    );
  });
  check('slots', !(slots! >= 3));
  check('outbox_full', /^(undefined|reject|drop_oldest_volatile)$/.test(outbox_full!));
}
