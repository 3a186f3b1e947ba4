//! Messages of the client: logins, calls and their addressees.

use tautline_protocol::{ByeCode, packet::Auth};

use super::{
    AccountId, Command, Plain,
    account::{Account, Stage},
    read::Message,
    write::Refusal,
};

impl Plain {
    pub(super) fn handle_auth(&mut self, message: &Message<'_>) {
        match serde_json::from_str::<Auth>(message.data.get()) {
            Ok(auth) => self.log_in(auth, message.account.as_deref()),
            // Without what serde says: it could quote a secret.
            Err(_) => {
                self.refuse(message, "bad_request", "a login has `token`, `code` and `provider`, or `guest`")
            }
        }
    }

    pub(super) fn log_in(&mut self, auth: Auth, user: Option<&str>) {
        self.logins += 1;
        match self.logins > self.config.logins_max {
            true => self.close_with(ByeCode::RateLimited),
            false => self.begin_login(auth, user),
        }
    }

    /// Opens an account by this login.
    pub(super) fn open_account(&mut self, auth: Auth) {
        // As many again may still answer the calls of before they were replaced.
        if self.accounts.len() >= 2 * self.config.accounts_max {
            return self.refuse_account(None);
        }
        self.last_account += 1;
        let id = AccountId(self.last_account);
        let (account, hello) = Account::new(id, auth);
        self.accounts.push(account);
        self.commands.push_back(Command::Open(id));
        self.commands.push_back(Command::Packet(id, hello));
    }

    pub(super) fn handle_logout(&mut self, message: &Message<'_>) {
        let Some(account) = self.addressed(message).map(|account| account.id) else {
            return self.refuse_stranger(message);
        };
        self.commands.push_back(Command::Packet(account, "{\"bye\":{}}".to_owned()));
        if let Some(mut ended) = self.remove(account) {
            self.fail_calls(&mut ended);
        }
        self.answer(message, Ok(None));
    }

    pub(super) fn handle_call(&mut self, message: &Message<'_>) {
        let Some(account) = self.addressed(message) else { return self.refuse_stranger(message) };
        let command = Command::Packet(account.id, account.call(message));
        self.commands.push_back(command);
    }

    /// The account that a message names, or the one that logged in last.
    fn addressed(&mut self, message: &Message<'_>) -> Option<&mut Account> {
        let mut active = self.accounts.iter_mut().rev().filter(|it| it.stage == Stage::Active);
        match &message.account {
            Some(user) => active.find(|it| it.user.as_deref() == Some(user)),
            None => active.next(),
        }
    }

    fn refuse(&mut self, message: &Message<'_>, code: &str, words: &str) {
        self.answer(message, Err(Refusal::new(code, words)));
    }

    fn refuse_stranger(&mut self, message: &Message<'_>) {
        let words = match message.account {
            Some(_) => "this account is not logged in here",
            None => "log in first",
        };
        self.refuse(message, ByeCode::Unauthorized.as_str(), words);
    }
}
