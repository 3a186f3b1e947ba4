//! Keeps users and addresses out.
//!
//! Start at [`Control::ban`]. A ban is remembered before sessions are searched, and a connection looks for one
//! after it has taken its session: either of the two finds the other.

use std::net::IpAddr;

use tautline_engine::{Answer, Ban, BanChange, BanSubject, EngineError, Job, Revocation, SaveBan};
use tautline_protocol::{ErrorCode, Now, packet::ErrorBody};

use super::{CONTROL_PAGE_MAX, Control, Target};
use crate::{
    Hub, Identity, SessionFilter,
    bans::{BanSave, RefusedChange, bye_banned, bye_banned_address},
    client_network,
    gather::gather,
};

/// A ban, as control shows it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct BanInfo {
    /// Its user, unless it is one of an address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Its address, or in IPv6 the network, unless it is one of a user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// When it ends, in wall milliseconds; `None` for one that does not end by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// Why.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub reason: Box<str>,
}

/// A page of bans.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct BanPage {
    /// The bans.
    pub bans: Vec<BanInfo>,
    /// Where the next page begins; `None` after the last one.
    pub next: Option<String>,
}

impl Control {
    /// The most bytes of a reason.
    pub const BAN_REASON_BYTES_MAX: usize = 256;

    /// Keeps a user or an address out until a wall time. The sessions of a user end with `bye{banned}`, and its
    /// logins are refused with it. The connections from an address, or in IPv6 from its network, are closed with
    /// `bye{banned}` and new ones refused; their sessions may go on from elsewhere. Addresses that many clients
    /// share (of proxies) are nobody's, so banning one has no effect.
    ///
    /// `done` is called once, from any thread, when the engine has saved it, and gives how many sessions were
    /// concerned: with `unavailable` where the engine cannot; the ban then holds until a restart. With `limit`
    /// where there are as many bans as there may be (`bans_max`), and with `overloaded` where too many changes of the same subject
    /// wait for the engine; nothing is done then.
    pub fn ban(&self, now: Now, ban: Ban, done: impl FnOnce(Result<usize, ErrorBody>) + Send + 'static) {
        let ban = Ban { subject: counted(ban.subject), ..ban };
        if ban.reason.len() > Self::BAN_REASON_BYTES_MAX {
            let words = format!("a reason has at most {} bytes", Self::BAN_REASON_BYTES_MAX);
            return done(Err(ErrorBody::new(ErrorCode::TooLarge, words)));
        }
        let mut parts = gather(2, move |parts: Vec<Result<usize, ErrorBody>>| done(parts.into_iter().sum()));
        let (Some(concern), Some(saved)) = (parts.pop(), parts.pop()) else { return };
        let saved = Box::new(move |result: Result<(), ErrorBody>| saved(result.map(|()| 0)));
        let change = BanSave { change: BanChange::Set(ban.clone()), done: saved };
        let save = match self.0.bans().change(change) {
            Ok((save, _)) => save,
            Err(RefusedChange { save, error }) => {
                (save.done)(Err(error));
                return concern(Ok(0));
            }
        };
        let concerned = self.0.end_banned(now, &ban.subject);
        self.0.save_ban(save);
        concern(Ok(concerned));
    }

    /// Lets a user or an address in again. `done` is told whether it was kept out, as with [`Control::ban`].
    pub fn lift_ban(&self, subject: BanSubject, done: impl FnOnce(Result<bool, ErrorBody>) + Send + 'static) {
        let mut parts = gather(2, move |parts: Vec<Result<bool, ErrorBody>>| {
            done(parts.into_iter().try_fold(false, |any, part| Ok(any | part?)));
        });
        let (Some(tell), Some(saved)) = (parts.pop(), parts.pop()) else { return };
        let saved = Box::new(move |result: Result<(), ErrorBody>| saved(result.map(|()| false)));
        let change = BanSave { change: BanChange::Lift(counted(subject)), done: saved };
        match self.0.bans().change(change) {
            Ok((save, was_banned)) => {
                self.0.save_ban(save);
                tell(Ok(was_banned));
            }
            Err(RefusedChange { save, error }) => {
                (save.done)(Err(error));
                tell(Ok(false));
            }
        }
    }

    /// The bans: at most `count_max` and [`CONTROL_PAGE_MAX`], from behind `after`, which is the `next` of the page
    /// before.
    #[must_use]
    pub fn bans(&self, after: Option<&str>, count_max: usize) -> BanPage {
        let count_max = count_max.clamp(1, CONTROL_PAGE_MAX);
        let after = after.and_then(|after| after.parse().ok());
        let mut bans = self.0.bans().behind(after.as_ref(), count_max + 1);
        let is_cut = bans.len() > count_max;
        bans.truncate(count_max);
        let next = bans.last().filter(|_| is_cut).map(|last| last.subject.to_string());
        BanPage { bans: bans.into_iter().map(BanInfo::from).collect(), next }
    }
}

impl From<Ban> for BanInfo {
    fn from(Ban { subject, until, reason }: Ban) -> Self {
        let (user, address) = match subject {
            BanSubject::User(user) => (Some(user.to_string()), None),
            BanSubject::Address(address) => (None, Some(address)),
        };
        Self { user, address, until: (until < Revocation::FOREVER).then_some(until), reason }
    }
}

impl Hub {
    /// Ends the sessions of a banned user, or the connections from a banned address. Returns how many.
    pub(crate) fn end_banned(&self, now: Now, subject: &BanSubject) -> usize {
        match subject {
            // The ban covers their tickets, too, so these are not kept one by one.
            BanSubject::User(user) => self.for_each_meant(&Target::User(user.clone()), |live| {
                live.kick(self, now, bye_banned());
            }),
            BanSubject::Address(address) => {
                let filter = SessionFilter {
                    address: Some(*address),
                    is_connected: Some(true),
                    ..SessionFilter::default()
                };
                self.for_each_meant(&Target::Matching(filter), |live| live.close_with(bye_banned_address))
            }
        }
    }

    /// Has the engine save a change, and then those of the same subject that wait for it.
    fn save_ban(&self, save: Option<BanSave>) {
        let Some(save) = save else { return };
        let (hub, subject) = (self.clone(), save.subject().clone());
        let BanSave { change, done } = save;
        let answer = Answer::new(move |saved: Result<(), EngineError>| {
            done(saved.map_err(|error| error.to_body()));
            hub.save_ban(hub.bans().next_save(&subject));
        });
        self.engine().submit(Job::SaveBan(SaveBan { change, answer }));
    }

    /// True while a user is kept out.
    pub(crate) fn is_banned(&self, identity: &Identity) -> bool {
        identity.user.as_ref().is_some_and(|user| self.bans().has_user(user))
    }
}

/// The subject as it is compared.
fn counted(subject: BanSubject) -> BanSubject {
    match subject {
        BanSubject::Address(address) => BanSubject::Address(client_network(address)),
        user @ BanSubject::User(_) => user,
    }
}
