//! Who the client is to the server: its ticket, its login, the key of a session to be, and the number of the attempt.

use std::{collections::BTreeMap, fmt};

use super::{Dropped, Options, random::Random};
use crate::{
    Cursor, Now, VERSION,
    packet::{
        Auth, Hello,
        client::{LastDrop, Resume},
    },
};

/// How long a key and a login are kept for another dial without a welcome (protocol, section 3). Milliseconds.
const KEEP_MS: u64 = 60_000;

/// The first drop since the last welcome.
#[derive(Debug)]
pub(super) struct FirstDrop {
    pub(super) dropped: Dropped,
    pub(super) since_ms: u64,
    pub(super) dials: u32,
}

/// What a `hello` is made of.
#[derive(Default)]
pub(super) struct Identity {
    ticket: Option<String>,
    key: Option<(String, u64)>,
    auth: Option<(Auth, u64)>,
    attempt: u64,
    /// The ticket or the last login was refused.
    pub(super) renew: bool,
    /// A take-over was answered once already.
    pub(super) contested: bool,
    pub(super) first_drop: Option<FirstDrop>,
}

impl Identity {
    /// True when no hello can be said before the app has been asked for a login.
    pub(super) fn needs_auth(&mut self, now_ms: u64) -> bool {
        if self.auth.as_ref().is_some_and(|(_, since)| now_ms >= since + KEEP_MS) {
            self.auth = None;
        }
        self.auth.is_none() && (self.ticket.is_none() || self.renew)
    }

    /// True where a hello opens the last session again.
    pub(super) const fn has_ticket(&self) -> bool {
        self.ticket.is_some()
    }

    /// Another user logs in: only the attempt goes on, which never falls.
    pub(super) fn forget_user(&mut self) {
        *self = Self { attempt: self.attempt, ..Self::default() };
    }

    /// What a restarted app goes on with.
    pub(super) fn restore(&mut self, ticket: Option<String>, attempt: u64) {
        self.ticket = ticket;
        self.attempt = attempt;
    }

    /// What a restarted app needs: ticket and attempt.
    pub(super) const fn to_store(&self) -> (&Option<String>, u64) {
        (&self.ticket, self.attempt)
    }

    pub(super) fn set_auth(&mut self, now_ms: u64, auth: Auth) {
        self.auth = Some((auth, now_ms));
    }

    pub(super) fn set_ticket(&mut self, ticket: String) {
        self.ticket = Some(ticket);
    }

    /// A welcome came: what was kept for another try is of no more use.
    pub(super) fn welcomed(&mut self, ticket: String) {
        self.ticket = Some(ticket);
        self.refused();
        self.renew = false;
        self.contested = false;
    }

    /// The server will not have this login.
    pub(super) fn refused(&mut self) {
        self.key = None;
        self.auth = None;
        self.renew = true;
    }

    /// The server has seen a higher attempt: the next one must be above it.
    pub(super) fn contest(&mut self, attempt: u64) {
        self.contested = true;
        self.attempt = self.attempt.max(attempt);
    }

    /// The first packet of a connection.
    pub(super) fn hello(
        &mut self,
        now: Now,
        seen: u64,
        cursors: BTreeMap<String, Cursor>,
        random: &mut Random,
        options: &Options,
    ) -> Hello {
        let resume = self.ticket.clone().map(|ticket| {
            self.attempt = now.wall_ms.max(self.attempt.saturating_add(1));
            Resume { ticket, attempt: self.attempt, seen: (seen > 0).then_some(seen), cursors }
        });
        Hello {
            v: VERSION,
            key: if resume.is_none() { Some(self.key(now.mono_ms, random, options)) } else { None },
            auth: self.auth.as_ref().map(|(auth, _)| auth.clone()),
            resume,
            client: Some(options.client.clone()),
            last_drop: self.last_drop(now.mono_ms),
        }
    }

    fn key(&mut self, now_ms: u64, random: &mut Random, options: &Options) -> String {
        if let Some((key, since)) = &self.key
            && now_ms < since + KEEP_MS
        {
            return key.clone();
        }
        let key = format!("{}{:08x}{:08x}", options.instance, random.bits(), random.bits());
        self.key = Some((key.clone(), now_ms));
        key
    }

    fn last_drop(&self, now_ms: u64) -> Option<LastDrop> {
        let first = self.first_drop.as_ref()?;
        Some(LastDrop {
            cause: first.dropped.cause.as_str().to_owned(),
            code: first.dropped.code,
            reason: first.dropped.reason.clone(),
            offline_ms: now_ms - first.since_ms,
            attempts: first.dials,
        })
    }
}

impl fmt::Debug for Identity {
    // Secrets stay out of logs, whoever prints this.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("ticket", &self.ticket.is_some())
            .field("key", &self.key.is_some())
            .field("auth", &self.auth)
            .field("attempt", &self.attempt)
            .field("renew", &self.renew)
            .field("contested", &self.contested)
            .field("first_drop", &self.first_drop)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_ticket_nor_key_is_printed() {
        let mut identity = Identity::default();
        let options = Options { instance: "secret".into(), ..Options::default() };
        identity.hello(Now::default(), 0, BTreeMap::new(), &mut Random::new(1), &options);
        identity.set_ticket("secret".into());
        let printed = format!("{identity:?}");
        assert!(printed.contains("ticket: true") && !printed.contains("secret"), "{printed}");
    }
}
