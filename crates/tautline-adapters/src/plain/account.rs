//! One account of a connection: its calls that run, and its place in the user's inbox.

use std::collections::{BTreeMap, btree_map::Entry};

use serde_json::value::RawValue;
use tautline_protocol::{
    AnyByeCode, Cursor, RequestId,
    json::{self, Marks},
    packet::{
        client::{Auth, Call, ClientInfo, Hello, Ping, Request},
        server::{Bye, ChannelWelcome, Gap, Welcome},
    },
};

use super::{AccountId, read::Message};

/// An account that logs in, is logged in, or was replaced.
#[derive(Debug)]
pub(super) struct Account {
    pub id: AccountId,
    pub stage: Stage,
    /// `None` for a guest, and before the login.
    pub user: Option<String>,
    pub inbox: Option<Inbox>,
    /// The last `bye` of its peer.
    pub bye: Option<Bye<AnyByeCode>>,
    /// Calls without an answer; the peer limits how many run, and reads no further ones.
    calls: BTreeMap<RequestId, RunningCall>,
    last_id: RequestId,
    /// Its peer knows that the replies up to here have arrived.
    seen_told: RequestId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    LoggingIn,
    Active,
    /// A newer login of the same user has replaced it; its last calls are still answered.
    Replaced,
}

/// What is kept of a call for its answer.
#[derive(Debug)]
pub(super) struct RunningCall {
    pub kind: Box<str>,
    pub id: Option<Box<RawValue>>,
}

impl RunningCall {
    pub fn of(message: &Message<'_>) -> Self {
        Self { kind: message.kind.as_ref().into(), id: message.id.map(ToOwned::to_owned) }
    }
}

/// Positions in the user's inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Inbox {
    channel: String,
    epoch: String,
    /// The last offset that was sent.
    sent: u64,
    /// The last offset sent before the ping that is on its way.
    pinged: u64,
    /// The last offset that has arrived, as a pong says.
    arrived: u64,
}

impl Account {
    /// An account that logs in, and its `hello`.
    pub fn new(id: AccountId, auth: Auth) -> (Self, String) {
        let client = ClientInfo { sdk: "plain".to_owned(), ..ClientInfo::default() };
        let hello = Hello {
            v: tautline_protocol::VERSION,
            auth: Some(auth),
            client: Some(client),
            ..Hello::default()
        };
        let account = Self {
            id,
            stage: Stage::LoggingIn,
            user: None,
            inbox: None,
            bye: None,
            calls: BTreeMap::new(),
            last_id: 0,
            seen_told: 0,
        };
        (account, packet(|out| json::write_client(out, Marks::default(), "hello", &hello)))
    }

    /// The login was accepted.
    pub fn open(&mut self, welcome: Welcome) {
        self.stage = Stage::Active;
        self.inbox = welcome.user.as_ref().and_then(|user| Inbox::of(user, &welcome));
        self.user = welcome.user;
    }

    /// The packet that calls the method of this message.
    pub fn call(&mut self, message: &Message<'_>) -> String {
        let seen = self.take_seen();
        self.last_id += 1;
        self.calls.insert(self.last_id, RunningCall::of(message));
        let method = message.kind.as_ref().into();
        let call = Request::Call(Call { method, data: Some(&message.data), timeout_ms: None });
        let marks = Marks { id: Some(self.last_id), seen, again: false };
        packet(|out| json::write_request(out, marks, &call))
    }

    /// The packet that renews the login by this one, and the id of its request.
    pub fn renew(&mut self, auth: Auth) -> (RequestId, String) {
        let seen = self.take_seen();
        self.last_id += 1;
        let marks = Marks { id: Some(self.last_id), seen, again: false };
        let auth = Request::Auth(auth);
        (self.last_id, packet(|out| json::write_request(out, marks, &auth)))
    }

    /// The call to which a reply belongs.
    pub fn take_call(&mut self, id: RequestId) -> Option<RunningCall> {
        match self.calls.entry(id) {
            Entry::Occupied(call) => Some(call.remove()),
            Entry::Vacant(_) => None,
        }
    }

    /// The calls that get no reply any more.
    pub fn take_calls(&mut self) -> impl Iterator<Item = RunningCall> + use<> {
        std::mem::take(&mut self.calls).into_values()
    }

    /// Whether it was replaced and has answered everything.
    pub fn is_done(&self) -> bool {
        self.stage == Stage::Replaced && self.calls.is_empty()
    }

    /// A packet with what the peer does not know yet: replies and pushes that have arrived.
    pub fn report(&mut self, arrived: bool) -> Option<String> {
        if self.stage == Stage::LoggingIn {
            return None;
        }
        let seen = self.take_seen();
        let mut ping = Ping::default();
        if arrived {
            ping.acks.extend(self.inbox.as_mut().and_then(Inbox::arrive));
        }
        if seen.is_none() && ping.acks.is_empty() {
            return None;
        }
        Some(packet(|out| json::write_client(out, Marks { seen, ..Marks::default() }, "ping", &ping)))
    }

    /// The highest id up to which everything is answered, where that is news. An answer counts as seen once
    /// it is written: a client of the plain endpoint cannot ask for it again.
    fn take_seen(&mut self) -> Option<RequestId> {
        let seen = self.calls.first_key_value().map_or(self.last_id, |(first, _)| first - 1);
        (seen > std::mem::replace(&mut self.seen_told, seen)).then_some(seen)
    }
}

impl Inbox {
    fn of(user: &str, welcome: &Welcome) -> Option<Self> {
        let channel = format!("user:{user}");
        let Some(ChannelWelcome::Subscribed(at)) = welcome.channels.get(&channel) else { return None };
        let from = at.offset - at.recovering.min(at.offset);
        Some(Self { channel, epoch: at.epoch.clone(), sent: from, pinged: from, arrived: from })
    }

    /// Goes on where an earlier login of the same connection stands, if that is further.
    pub fn inherit(&mut self, earlier: &Self) {
        if earlier.channel == self.channel && earlier.epoch == self.epoch && earlier.sent > self.sent {
            *self = earlier.clone();
        }
    }

    /// Notes that a publication is sent. False: this connection has sent it already.
    pub fn send(&mut self, channel: &str, offset: u64) -> bool {
        if channel != self.channel {
            return true;
        }
        let is_new = offset > self.sent;
        self.sent = self.sent.max(offset);
        is_new
    }

    /// Goes on behind a gap. False: it is about publications that this connection has sent, in an earlier login of the
    /// user; then the position stays.
    pub fn skip(&mut self, gap: &Gap) -> bool {
        let offset = gap.cursor.offset;
        if gap.channel != self.channel {
            return true;
        }
        if gap.cursor.epoch == self.epoch && offset < self.sent {
            return false;
        }
        (self.sent, self.pinged, self.arrived) = (offset, offset, offset);
        self.epoch.clone_from(&gap.cursor.epoch);
        true
    }

    /// Whether something was sent of which no pong says that it has arrived.
    pub fn needs_ping(&self) -> bool {
        self.sent > self.arrived
    }

    /// Notes that a ping follows what was sent.
    pub fn ping(&mut self) {
        self.pinged = self.sent;
    }

    /// The ping was answered: the position to be acknowledged.
    fn arrive(&mut self) -> Option<(String, Cursor)> {
        let is_new = self.pinged > std::mem::replace(&mut self.arrived, self.pinged);
        let cursor = Cursor { epoch: self.epoch.clone(), offset: self.pinged, at: None };
        is_new.then(|| (self.channel.clone(), cursor))
    }
}

fn packet(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).expect("packets are text")
}
