//! Rate limits at the edge of a connection (protocol, section 4).
//!
//! Start at [`Peer::charge_request`]. Costs one look at an `Option` where nothing is limited.

use tautline_protocol::{
    ByeCode, ErrorCode, Now,
    packet::{ErrorBody, server::Bye},
};

use super::{Peer, stage::Stage};
use crate::{
    Identity,
    rates::{Charge, Charged, RateLimiter},
};

const WORDS: &str = "too many in too short a time";

impl Peer {
    /// Charges a message. False: refused, and the connection is closed.
    pub(super) fn charge_message(&mut self, now: Now, bytes: usize) -> bool {
        let Some(limiter) = self.hub.rate_limiter() else { return true };
        let taken = limiter.take(now.mono_ms, self.charged(), &[Charge::Bytes(bytes as u64)]);
        self.close_unless(now, taken)
    }

    /// Charges a hello, before its login is checked.
    pub(super) fn charge_hello(&mut self, now: Now) -> bool {
        let Some(limiter) = self.hub.rate_limiter() else { return true };
        let taken = limiter.take(now.mono_ms, self.charged(), &[Charge::Hello]);
        self.close_unless(now, taken)
    }

    /// Charges the hello of a user whose login was checked.
    pub(super) fn charge_hello_of(&mut self, now: Now, identity: &Identity) -> bool {
        let Some(limiter) = self.hub.rate_limiter() else { return true };
        let user = identity.user.as_ref().map(|_| self.holder_of(identity));
        let taken = limiter.take(now.mono_ms, Charged { user, ..Charged::default() }, &[Charge::Hello]);
        self.close_unless(now, taken)
    }

    /// Charges a request that is about to be executed. `Err`: it is refused.
    pub(super) fn charge_request(&self, now: Now, is_publish: bool) -> Result<(), ErrorBody> {
        let Some(limiter) = self.hub.rate_limiter() else { return Ok(()) };
        let charges = if is_publish { &[Charge::Request, Charge::Publish][..] } else { &[Charge::Request] };
        limiter.take(now.mono_ms, self.charged(), charges).map_err(|wait_ms| ErrorBody {
            retry_after_ms: Some(wait_ms),
            ..ErrorBody::new(ErrorCode::RateLimited, WORDS)
        })
    }

    /// Closes the connection of a client that goes on although its requests are refused. Call it behind the
    /// refusal.
    pub(super) fn close_if_flooding(&mut self, now: Now, refusal: &ErrorBody) {
        let flooding = |limiter: &RateLimiter| limiter.is_flooding(now.mono_ms, self.mailbox.connection);
        if self.hub.rate_limiter().is_some_and(flooding) {
            self.close_unless(now, Err(refusal.retry_after_ms.unwrap_or_default()));
        }
    }

    fn close_unless(&mut self, now: Now, taken: Result<(), u64>) -> bool {
        if let Err(wait_ms) = taken {
            let bye = Bye { retry_after_ms: Some(wait_ms), ..Bye::new(ByeCode::RateLimited, WORDS) };
            self.close_with_bye(now, None, bye);
        }
        taken.is_ok()
    }

    fn charged(&self) -> Charged {
        let user = match &self.stage {
            Stage::Active(open) => open.session.owned_by(&self.mailbox).and_then(|session| {
                let is_user = session.login().identity.user.is_some();
                is_user.then(|| session.holder())
            }),
            _ => None,
        };
        Charged { connection: Some(self.mailbox.connection), user, address: Some(self.holder), api_key: None }
    }
}
