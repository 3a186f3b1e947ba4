//! Packets of the accounts' peers.

use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use tautline_protocol::{
    RequestId,
    json::parse_server,
    packet::{ErrorBody, ServerPacket, Welcome, server::Gap},
};

use super::{
    AccountId, Plain,
    account::{Account, Inbox, Stage},
    write::{Answer, Refusal},
};

/// Body of the `ok` of a `call`.
#[derive(Deserialize)]
struct Called<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
}

impl Plain {
    pub(super) fn handle_line(&mut self, id: AccountId, message: &Bytes, line: &[u8]) {
        let Ok(packet) = std::str::from_utf8(line).map(str::trim_ascii).map(parse_server) else { return };
        let Some(place) = self.place(id) else { return };
        match packet {
            Ok(ServerPacket::Welcome(welcome)) => self.handle_welcome(place, *welcome),
            Ok(ServerPacket::Reply(id, result)) => self.handle_reply(place, id, result),
            Ok(ServerPacket::Pub(it)) => {
                let account = &mut self.accounts[place];
                let inbox = account.inbox.as_mut();
                let is_new = inbox.is_none_or(|inbox| inbox.send(&it.channel, it.offset));
                if is_new && account.stage == Stage::Active {
                    self.send(message.slice_ref(it.data.get().as_bytes()));
                }
            }
            Ok(ServerPacket::Gap(gap)) => self.handle_gap(place, &gap),
            Ok(ServerPacket::Bye(_, bye)) => {
                self.accounts[place].bye = Some(bye);
            }
            // Nothing that such a client could use.
            _ => {}
        }
    }

    fn handle_welcome(&mut self, place: usize, welcome: Welcome) {
        let is_same = |it: &&mut Account| it.stage == Stage::Active && it.user == welcome.user;
        let earlier = self.accounts.iter_mut().find(is_same);
        let inherited: Option<Option<Inbox>> = earlier.map(|earlier| {
            earlier.stage = Stage::Replaced;
            earlier.inbox.take()
        });
        let account = &mut self.accounts[place];
        account.open(welcome);
        if let (Some(inbox), Some(Some(earlier))) = (&mut account.inbox, &inherited) {
            inbox.inherit(earlier);
        }
        let (id, user) = (account.id, account.user.clone());
        let active = self.accounts.iter().filter(|it| it.stage == Stage::Active).count();
        if active > self.config.accounts_max {
            self.remove(id);
            return self.refuse_account(user.as_deref());
        }
        self.drop_replaced();
        self.answer_login(Ok(()), user.as_deref());
    }

    fn handle_reply(&mut self, place: usize, id: RequestId, result: Result<&RawValue, ErrorBody>) {
        if self.take_renewal(place, id, result.as_ref().err()) {
            return;
        }
        let Some(call) = self.accounts[place].take_call(id) else { return };
        match &result {
            Ok(body) => {
                let called = serde_json::from_str::<Called<'_>>(body.get()).ok();
                self.answer_call(&call, Ok(called.map(|called| called.data)));
            }
            Err(error) => self.answer_call(&call, Err(Refusal::of(error))),
        }
        self.drop_replaced();
    }

    fn handle_gap(&mut self, place: usize, gap: &Gap) {
        let account = &mut self.accounts[place];
        let is_news = account.inbox.as_mut().is_none_or(|inbox| inbox.skip(gap));
        let config = Arc::clone(&self.config);
        if !is_news || account.stage != Stage::Active || config.names.gap.is_empty() {
            return;
        }
        let user = account.user.clone();
        let reason = serde_json::to_string(&gap.reason).unwrap_or_default();
        let refusal = Refusal::new(reason.trim_matches('"'), "pushes are missing here: load the state anew");
        self.send(Answer::unasked(&config.names.gap, refusal).user(user.as_deref()).write(&config.names));
    }

    fn drop_replaced(&mut self) {
        while let Some(id) = self.accounts.iter().find(|it| it.is_done()).map(|it| it.id) {
            self.remove(id);
        }
    }
}
