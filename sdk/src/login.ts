/** Another user logs in on the same line: nothing of the last one is left, here or on the way. */

import { retryNow } from './connect.js';
import { detach, sayBye } from './disconnect.js';
import { settleAll } from './outbox.js';
import type { Session } from './session.js';
import { newIdentity } from './state.js';
import { eachChannel, endSubscription } from './subscriptions.js';

/** What requests and subscriptions of the last user end with. */
export const USER_CHANGED = 'user_changed';

/** Ends the session of the last user. What follows is decided by `advance`: a line that is wanted logs in and dials. */
export function login(s: Session): void {
  const { attempt_ } = s.identity_;
  sayBye(s);
  detach(s);
  s.identity_ = newIdentity();
  s.identity_.attempt_ = attempt_;
  retryNow(s);
  if (s.goal_ === 'stopped') s.goal_ = 'idle';
  settleAll(s, USER_CHANGED, () => true);
  eachChannel(s.subscriptions_, (_, channel) => endSubscription(s, channel, { code: USER_CHANGED }));
}
