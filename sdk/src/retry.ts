/** How long to wait before something is asked again on an open connection. */

import type { Session } from './session.js';

/** After failure `failures` (1, 2 …) in a row: full jitter under a doubling ceiling, no less than what the server has said. */
export function retryDelayMs(s: Session, failures: number, afterMs?: number | null): number {
  const { retry_max_ms, retry_base_ms } = s.options_;
  const ceilingMs = Math.min(retry_max_ms, retry_base_ms * Math.pow(2, Math.min(16, failures)));
  return Math.max(retry_base_ms, afterMs || 0, Math.floor(s.random_() * ceilingMs));
}
