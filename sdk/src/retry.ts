/** How long to wait before something is tried again. */

import type { Session } from './session.js';

/** Full jitter under a ceiling that doubles with `failures`. */
export function jitterMs(s: Session, failures: number): number {
  const { retry_max_ms, retry_base_ms } = s.options_;
  return Math.floor(
    s.random_() * Math.min(retry_max_ms, retry_base_ms * Math.pow(2, Math.min(16, failures))),
  );
}

/**
 * For what is asked again on an open connection, after failure `failures` (1, 2 …) in a row: the base, or what the server has
 * said if that is longer, and jitter on top. So a thousand clients that were refused in one moment do not come back in one.
 */
export function retryDelayMs(s: Session, failures: number, afterMs?: number | null): number {
  return Math.max(s.options_.retry_base_ms, afterMs || 0) + jitterMs(s, failures);
}
