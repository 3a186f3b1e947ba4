//! Another user logs in on the same line: nothing of the last one is left, here or on the way.

use super::{LocalError, Output, Session, session::Goal};
use crate::{ErrorCode, Now};

impl Session {
    /// Ends the session of the last user. What follows is decided by [`Session::advance`]: a line that is wanted logs in and
    /// dials.
    pub(super) fn login(&mut self, now: Now) {
        self.queue_bye(now);
        self.detach(now, false);
        self.auth_due_ms = None;
        self.identity.forget_user();
        self.backoff.retry_now();
        if matches!(self.goal, Goal::Stopped(_)) {
            self.goal = Goal::Idle;
        }
        let settled = self.outbox.settle_all(LocalError::UserChanged);
        self.settle(settled);
        for channel in self.subscriptions.forget_user() {
            let code = ErrorCode::from(LocalError::UserChanged.as_str());
            self.emit(Output::Unsubscribed { channel, code, message: String::new() });
        }
    }
}
