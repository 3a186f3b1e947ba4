/** Checks what a line is made with: a slip is told when the line is made, by the name of the option. */

import { TautlineError } from './error.js';
import type { TautlineOptions } from './options.js';

/**
 * Checks `options`; the session sees to its own.
 *
 * @throws TautlineError `bad_option`
 */
export function checkOptions(options: TautlineOptions): void {
  const { url, host, storage, format } = options;

  function check(name: string, fits: unknown): void {
    if (!fits) throw new TautlineError({ code: 'bad_option', message: 'option ' + name + ' cannot be ' + options[name as 'url'] });
  }
  check('url', /^wss?:\/\/[^/]/i.test(url));
  check('host', !host || host.dial);
  // `storage` itself, which makes one, takes one parameter.
  check('storage', !storage || storage.length > 1);
  // Where an import has gone wrong it is there, and undefined.
  check('format', !('format' in options) || (format && format.write_));
}
