//! A login of a user that may be logged in already: its account renews it, and its session goes on.
//!
//! Start at [`Plain::begin_login`]. Only a peer can tell whose a token or a login code is, so the accounts are asked one
//! after another, each by an `auth` request. If it is no account's, it opens one of its own.

use std::sync::Arc;

use tautline_protocol::{
    ErrorCode, RequestId,
    packet::{Auth, ErrorBody},
};

use super::{
    AccountId, Command, Plain,
    account::{Account, Stage},
    write::{Answer, Refusal},
};

/// A login on its way to the accounts that it may renew.
pub(super) struct Renewal {
    auth: Auth,
    /// The accounts that are to be asked; the last one is next.
    left: Vec<AccountId>,
    /// The account that is being asked, and the id of the request.
    asked: (AccountId, RequestId),
}

impl Plain {
    /// Logs in, or renews the login of an account; `user` is the account that the message names.
    pub(super) fn begin_login(&mut self, auth: Auth, user: Option<&str>) {
        if self.renewal.is_some() {
            return self.open_account(auth);
        }
        let is_guest = matches!(auth, Auth::Guest { .. });
        let is_meant = |it: &&Account| it.stage == Stage::Active && it.user.is_none() == is_guest;
        // The one that the message names is asked first, then from the last login to the first.
        let accounts = self.accounts.iter().filter(is_meant);
        let mut left: Vec<_> = accounts.map(|it| (it.user.as_deref() == user, it.id)).collect();
        left.sort_by_key(|(is_named, _)| *is_named);
        if matches!(auth, Auth::Code { .. }) && user.is_some() {
            // An app's back end may be unable to use a code again that it was asked about for another account.
            left.retain(|(is_named, _)| *is_named);
        }
        self.renew_next(auth, left.into_iter().map(|(_, id)| id).collect());
    }

    fn renew_next(&mut self, auth: Auth, mut left: Vec<AccountId>) {
        while let Some(id) = left.pop() {
            let Some(account) = self.accounts.iter_mut().find(|it| it.id == id) else { continue };
            let (request, packet) = account.renew(auth.clone());
            self.commands.push_back(Command::Packet(id, packet));
            self.renewal = Some(Renewal { auth, left, asked: (id, request) });
            return;
        }
        self.open_account(auth);
    }

    /// Takes the reply to an `auth` request. False: it is the reply to another request.
    pub(super) fn take_renewal(
        &mut self,
        place: usize,
        request: RequestId,
        refused: Option<&ErrorBody>,
    ) -> bool {
        let asked = (self.accounts[place].id, request);
        let Some(renewal) = self.renewal.take_if(|renewal| renewal.asked == asked) else { return false };
        match refused {
            None => {
                // Messages without a name go to the account that logged in last.
                let renewed = self.accounts.remove(place);
                self.answer_login(Ok(()), renewed.user.as_deref());
                self.accounts.push(renewed);
            }
            // Another user's, or no good: then the peer of its own says why.
            Some(error) if error.code == ErrorCode::PermissionDenied => {
                self.renew_next(renewal.auth, renewal.left);
            }
            Some(error) => self.answer_login(Err(Refusal::of(error)), None),
        }
        true
    }

    /// An account is gone that may have been asked.
    pub(super) fn skip_renewal(&mut self, gone: AccountId) {
        if let Some(renewal) = self.renewal.take_if(|renewal| renewal.asked.0 == gone) {
            self.renew_next(renewal.auth, renewal.left);
        }
    }

    /// Answers a login.
    pub(super) fn answer_login(&mut self, result: Result<(), Refusal<'_>>, user: Option<&str>) {
        let config = Arc::clone(&self.config);
        let answer = Answer::to(&config.names, &config.names.auth, result.map(|()| None)).user(user);
        self.send(answer.write(&config.names));
    }
}

/// Without the login.
impl std::fmt::Debug for Renewal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Renewal").field("asked", &self.asked).finish_non_exhaustive()
    }
}
