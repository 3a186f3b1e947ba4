//! Who is signed in. In memory: after a restart everybody signs in again.
//!
//! Start at [`Sessions::find`]. A session is known by the digest of its id, and ends with the account's password.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tautline_protocol::Now;

use crate::{Account, ConsoleOptions, ConsoleScope, random};

/// Sessions at once; beyond it the one that did nothing for the longest time ends.
const SESSIONS_MAX: usize = 256;

/// Everybody who is signed in.
pub(crate) struct Sessions {
    idle_ms: u64,
    age_max_ms: u64,
    sessions: Mutex<HashMap<[u8; 32], Session>>,
}

struct Session {
    name: Arc<str>,
    /// Of the account's hash: another password ends the session.
    password: [u8; 32],
    csrf: Arc<str>,
    opened_ms: u64,
    used_ms: u64,
}

/// Somebody who is signed in, for one request.
#[derive(Clone, Debug)]
pub(crate) struct Visitor {
    pub(crate) name: Arc<str>,
    pub(crate) scope: ConsoleScope,
    pub(crate) csrf: Arc<str>,
    /// When it has to sign in again at the latest, in wall milliseconds.
    pub(crate) expires_at: u64,
}

impl Sessions {
    pub(crate) fn new(options: &ConsoleOptions) -> Self {
        let ms = |wait: std::time::Duration| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        Self {
            idle_ms: ms(options.session_idle),
            age_max_ms: ms(options.session_age_max),
            sessions: Mutex::default(),
        }
    }

    /// Signs an account in. Returns the session's id, which nobody else ever sees; `None` without random bytes.
    pub(crate) fn open(&self, now: Now, account: &Account) -> Option<(String, Visitor)> {
        let (id, csrf) = (random::token()?, random::token()?);
        let session = Session {
            name: account.name.as_str().into(),
            password: random::digest(&account.hash),
            csrf: csrf.into(),
            opened_ms: now.mono_ms,
            used_ms: now.mono_ms,
        };
        let visitor = self.visitor(now, &session, account.scope);
        let mut sessions = self.lock();
        sessions.retain(|_, session| !self.is_over(now, session));
        if sessions.len() >= SESSIONS_MAX {
            let idle = sessions.iter().min_by_key(|(_, session)| session.used_ms).map(|(id, _)| *id);
            idle.and_then(|id| sessions.remove(&id));
        }
        sessions.insert(random::digest(&id), session);
        Some((id, visitor))
    }

    /// Who this is, where the session is open and its account is as it was. Using it keeps it open.
    pub(crate) fn find(&self, now: Now, id: &str, accounts: &[Account]) -> Option<Visitor> {
        let key = random::digest(id);
        let mut sessions = self.lock();
        let session = sessions.get_mut(&key)?;
        let account = accounts.iter().find(|account| *account.name == *session.name);
        let account = account.filter(|account| random::digest(&account.hash) == session.password);
        let Some(account) = account.filter(|_| !self.is_over(now, session)) else {
            sessions.remove(&key);
            return None;
        };
        session.used_ms = now.mono_ms;
        Some(self.visitor(now, session, account.scope))
    }

    pub(crate) fn close(&self, id: &str) {
        self.lock().remove(&random::digest(id));
    }

    fn visitor(&self, now: Now, session: &Session, scope: ConsoleScope) -> Visitor {
        let left_ms = session.opened_ms.saturating_add(self.age_max_ms).saturating_sub(now.mono_ms);
        Visitor {
            name: Arc::clone(&session.name),
            scope,
            csrf: Arc::clone(&session.csrf),
            expires_at: now.wall_ms.saturating_add(left_ms),
        }
    }

    fn is_over(&self, now: Now, session: &Session) -> bool {
        now.mono_ms.saturating_sub(session.used_ms) >= self.idle_ms
            || now.mono_ms.saturating_sub(session.opened_ms) >= self.age_max_ms
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], Session>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(ms: u64) -> Now {
        Now { mono_ms: ms, wall_ms: 1_000_000 + ms }
    }

    fn account(name: &str, hash: &str) -> Account {
        Account { name: name.to_owned(), scope: ConsoleScope::Act, hash: hash.to_owned() }
    }

    fn sessions(idle_s: u64, age_s: u64) -> Sessions {
        let options = ConsoleOptions {
            session_idle: Duration::from_secs(idle_s),
            session_age_max: Duration::from_secs(age_s),
            ..ConsoleOptions::default()
        };
        Sessions::new(&options)
    }

    #[test]
    fn idle_session_ends_and_used_one_ends_later() {
        let (sessions, accounts) = (sessions(10, 25), [account("ada", "1")]);
        let is_open = |ms, id: &str| sessions.find(at(ms), id, &accounts).is_some();
        let (idle, _) = sessions.open(at(0), &accounts[0]).unwrap();
        let (used, visitor) = sessions.open(at(0), &accounts[0]).unwrap();
        assert_eq!(visitor.expires_at, 1_025_000);
        assert!(is_open(9_999, &idle) && is_open(9_999, &used) && is_open(19_998, &used));
        assert!(!is_open(19_999, &idle), "idle for ten seconds");
        assert!(is_open(24_999, &used) && !is_open(25_000, &used), "open for 25 seconds");
        assert!(!is_open(25_000, "no such session"));
    }

    #[test]
    fn session_ends_with_its_password_or_account() {
        let (sessions, ada) = (sessions(10, 25), account("ada", "1"));
        for after in [vec![account("ada", "2")], vec![account("bob", "1")], Vec::new()] {
            let (id, _) = sessions.open(at(0), &ada).unwrap();
            assert!(sessions.find(at(1), &id, std::slice::from_ref(&ada)).is_some());
            assert!(sessions.find(at(2), &id, &after).is_none(), "{after:?}");
            assert!(sessions.find(at(3), &id, std::slice::from_ref(&ada)).is_none(), "it does not come back");
        }
    }

    #[test]
    fn scope_is_the_accounts_at_this_moment() {
        let (sessions, mut ada) = (sessions(10, 25), account("ada", "1"));
        let (id, _) = sessions.open(at(0), &ada).unwrap();
        ada.scope = ConsoleScope::Read;
        assert_eq!(sessions.find(at(1), &id, &[ada]).unwrap().scope, ConsoleScope::Read);
    }

    #[test]
    fn session_beyond_the_limit_ends_the_idlest() {
        let (sessions, accounts) = (sessions(3_600, 7_200), [account("ada", "1")]);
        let (first, _) = sessions.open(at(0), &accounts[0]).unwrap();
        let (second, _) = sessions.open(at(1), &accounts[0]).unwrap();
        assert!(sessions.find(at(2), &first, &accounts).is_some());
        for n in 0..SESSIONS_MAX as u64 - 1 {
            sessions.open(at(3 + n), &accounts[0]).unwrap();
        }
        assert!(sessions.find(at(999), &first, &accounts).is_some(), "it was used last");
        assert!(sessions.find(at(999), &second, &accounts).is_none());
    }
}
