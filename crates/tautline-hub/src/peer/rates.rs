//! Rate limits at the edge of a connection (protocol, section 4).
//!
//! Start at [`Peer::charge_request`]. Costs one look where nothing is limited.

use tautline_protocol::{
    ByeCode, ErrorCode, Now, UserId,
    packet::{ErrorBody, server::Bye},
};

use super::{Peer, stage::Stage};
use crate::{
    Identity,
    rates::{Address, Charge, Charged},
};

/// Refused requests in a row after which a connection is closed: its client does not obey `retry_after_ms`.
const REFUSALS_MAX: u8 = 100;

/// The words of every refusal.
pub(crate) const TOO_MANY: &str = "too many in too short a time";

impl Peer {
    /// Charges a message. False: refused, and the connection is closed.
    pub(super) fn charge_message(&mut self, now: Now, bytes: usize) -> bool {
        let taken = self.hub.charge(now, || self.charged(), &[Charge::Bytes(bytes as u64)]);
        self.close_unless(now, taken)
    }

    /// Charges a hello, before its login is checked.
    pub(super) fn charge_hello(&mut self, now: Now) -> bool {
        let taken = self.hub.charge(now, || self.charged(), &[Charge::Hello]);
        self.close_unless(now, taken)
    }

    /// Charges the hello of a user whose login was checked. The address stays charged where this refuses: the check was
    /// done for it.
    pub(super) fn charge_hello_of(&mut self, now: Now, identity: &Identity) -> bool {
        let who = || Charged { user: identity.user.clone(), ..Charged::default() };
        let taken = self.hub.charge(now, who, &[Charge::Hello]);
        self.close_unless(now, taken)
    }

    /// Charges a request that is about to be executed, or to be rejected as invalid. `Err`: it is refused.
    pub(super) fn charge_request(&mut self, now: Now, is_publish: bool) -> Result<(), ErrorBody> {
        let charges = if is_publish { &[Charge::Request, Charge::Publish][..] } else { &[Charge::Request] };
        let taken = self.hub.charge(now, || self.charged(), charges);
        self.refusals = if taken.is_ok() { 0 } else { self.refusals.saturating_add(1) };
        if let Err(wait_ms) = taken {
            self.tell_limit(now, if is_publish { "publishes" } else { "requests" }, wait_ms);
        }
        taken.map_err(|wait_ms| ErrorBody {
            retry_after_ms: Some(wait_ms),
            ..ErrorBody::new(ErrorCode::RateLimited, TOO_MANY)
        })
    }

    /// Closes the connection of a client that goes on although its requests are refused. Call it behind the
    /// refusal.
    pub(super) fn close_if_flooding(&mut self, now: Now, refusal: &ErrorBody) {
        if self.refusals >= REFUSALS_MAX {
            self.close_unless(now, Err(refusal.retry_after_ms.unwrap_or_default()));
        }
    }

    fn close_unless(&mut self, now: Now, taken: Result<(), u64>) -> bool {
        if let Err(wait_ms) = taken {
            self.tell_limit(now, "connection", wait_ms);
            let bye = Bye { retry_after_ms: Some(wait_ms), ..Bye::new(ByeCode::RateLimited, TOO_MANY) };
            self.close_with_bye(now, None, bye);
        }
        taken.is_ok()
    }

    fn charged(&self) -> Charged {
        let connection = self.mailbox.connection;
        let (user, address) = match &self.stage {
            Stage::Active(open) => open
                .session
                .owned_by(&self.mailbox)
                .map_or((None, None), |session| (session.login().identity.user.clone(), session.address())),
            _ => (None, self.address()),
        };
        Charged {
            connection: Some(connection),
            user,
            address: Some(Address::of(address, connection)),
            api_key: None,
        }
    }

    /// The user of its session. `None`: it has none, or a guest's.
    pub(crate) fn user(&self) -> Option<UserId> {
        let Stage::Active(open) = &self.stage else { return None };
        open.session.owned_by(&self.mailbox).and_then(|session| session.login().identity.user.clone())
    }
}
