//! What a welcomed client asks, and what it gets (protocol, section 4).

use std::{collections::BTreeMap, num::NonZeroU64, sync::Arc};

use tautline_protocol::{
    ByeCode, ChannelName, Cursor, ErrorCode, Now, ReadFrom, RequestId, json,
    packet::{
        Auth, ErrorBody, Request,
        client::{After, Call, History, Publish},
        server::{AuthRefreshed, Bye, Gap, Published, Subscribed, Unsubscribed},
    },
    server::Verdict,
};

use super::{
    CallRequest, Open, Output, Peer, ReplyTo, Stage, Subscription,
    opening::{parse_channel, ticket_due_ms, until},
};
use crate::{
    Identity, LoginRefused,
    channel::{self, Joining},
    log::{Entry, Found, Log, Origin, Place},
};

impl Peer {
    pub(super) fn handle_request(&mut self, now: Now, id: RequestId, again: bool, request: Request<'_>) {
        if request.at_most_once() {
            return self.handle_once(now, id, again, request);
        }
        let Stage::Open(open) = &mut self.stage else { return };
        if !open.session.lock().ledger.receive_harmless(id) {
            return;
        }
        match request {
            Request::Subscribe(body) => {
                let subscribed = self
                    .parse_readable(&body.channel)
                    .and_then(|channel| self.subscribe(now, &channel, &body.from));
                self.reply(id, subscribed.as_ref().map(|(reply, _)| reply));
                if let Ok((_, Some(gap))) = subscribed {
                    json::write_server(&mut self.control, "gap", &gap);
                }
            }
            Request::Unsubscribe(body) => {
                let done = self.unsubscribe(&body.channel);
                self.reply(id, done.as_ref().map(|()| &Empty {}));
            }
            Request::History(body) => self.history(id, &body),
            Request::Presence(body) => {
                let roster = self.parse_readable(&body.channel).and_then(|channel| {
                    let members_max = self.hub.limits().presence_members_max;
                    let open = self.hub.find_channel(&channel);
                    open.and_then(|channel| channel.roster(members_max))
                        .ok_or_else(|| ErrorBody::new(ErrorCode::NotFound, "this channel has no roster"))
                });
                self.reply(id, roster.as_ref());
            }
            Request::Auth(body) => {
                open.refreshing = NonZeroU64::new(id);
                self.errand(Output::Login(Auth::Token { token: body.token.into_owned() }));
            }
            Request::Publish(_) | Request::Call(_) => unreachable!("handled above"),
        }
    }

    /// `publish` and `call`: what the ledger has answered is not executed again.
    fn handle_once(&mut self, now: Now, id: RequestId, again: bool, request: Request<'_>) {
        let Stage::Open(open) = &self.stage else { return };
        let verdict = {
            let mut state = open.session.lock();
            match self.hub.has_room_for_replies() || state.ledger.reply_bytes() == 0 {
                true => {
                    let connection = self.bell.connection;
                    self.hub
                        .book(&mut state, |ledger| ledger.receive(id, again, connection, self.hub.limits()))
                }
                false => Verdict::SlowPeer,
            }
        };
        match (verdict, request) {
            (Verdict::Execute, Request::Call(call)) => self.call(id, call),
            (Verdict::InDoubt, Request::Call(_)) => {
                let words = "the node that took this call is gone: it may have run";
                self.settle(id, Err::<&(), _>(&ErrorBody::new(ErrorCode::InDoubt, words)));
            }
            (Verdict::Execute, Request::Publish(publish)) => self.publish(now, id, &publish, false),
            (Verdict::InDoubt, Request::Publish(publish)) => self.publish(now, id, &publish, true),
            (Verdict::Replay(reply), _) => self.control.extend_from_slice(&reply),
            (Verdict::SlowPeer, _) => {
                let words = "too many replies are unseen: say `seen`";
                self.dismiss(now, None, Bye::new(ByeCode::SlowPeer, words));
            }
            (Verdict::Wait | Verdict::Ignore, _) => {}
            (Verdict::Execute | Verdict::InDoubt, _) => unreachable!("only publish and call come here"),
        }
    }

    fn call(&mut self, id: RequestId, call: Call<'_>) {
        let Stage::Open(open) = &self.stage else { return };
        let longest = self.hub.limits().call_ms_max;
        let request = CallRequest {
            reply_to: ReplyTo {
                hub: self.hub.clone(),
                session: Arc::clone(&open.session),
                id,
                settled: false,
            },
            method: call.method.into_owned(),
            data: call.data.map_or_else(|| serde_json::value::RawValue::NULL.to_owned(), ToOwned::to_owned),
            timeout_ms: call.timeout_ms.map_or(longest, |wanted| wanted.min(longest)),
            user: open.session.user(),
            session: open.session.id.to_string(),
        };
        self.errand(Output::Call(request));
    }

    fn publish(&mut self, now: Now, id: RequestId, publish: &Publish<'_>, in_doubt: bool) {
        let result = self.try_publish(now, id, publish, in_doubt);
        self.settle(id, result.as_ref());
    }

    fn try_publish(
        &self,
        now: Now,
        id: RequestId,
        publish: &Publish<'_>,
        in_doubt: bool,
    ) -> Result<Published, ErrorBody> {
        let Stage::Open(open) = &self.stage else {
            return Err(ErrorBody::new(ErrorCode::Internal, "no session is open"));
        };
        let name = parse_channel(&publish.channel)?;
        let (identity, logs_whole) = {
            let state = open.session.lock();
            (Arc::clone(&state.login.identity), state.logs_whole)
        };
        if !identity.may(&name, self.hub.rule(&name).publish) {
            return Err(ErrorBody::new(ErrorCode::PermissionDenied, "you may not publish in this channel"));
        }
        let session = open.session.id;
        if in_doubt {
            let found = match self.hub.find_channel(&name) {
                Some(channel) => channel.find(session, id, logs_whole),
                None => Found::Unknown,
            };
            match found {
                Found::At { offset, at } => {
                    return Ok(Published { epoch: self.hub.epoch().to_owned(), offset, at });
                }
                Found::Never => {}
                Found::Unknown => {
                    let words = "the log does not reach back far enough to tell whether this was published";
                    return Err(ErrorBody::new(ErrorCode::InDoubt, words));
                }
            }
        }
        let new = channel::Publish {
            from: identity.user.as_ref(),
            tags: None,
            origin: Some(Origin::Request(session, id)),
        };
        self.hub.append(now, &name, publish.data.get(), new)
    }

    /// Subscribes, or moves a subscription that exists.
    pub(super) fn subscribe(
        &mut self,
        now: Now,
        name: &ChannelName,
        from: &ReadFrom,
    ) -> Result<(Subscribed, Option<Gap>), ErrorBody> {
        let Stage::Open(open) = &mut self.stage else {
            return Err(ErrorBody::new(ErrorCode::Internal, "no session is open"));
        };
        let identity = Arc::clone(&open.session.lock().login.identity);
        let acked = identity.user.as_ref().and_then(|user| self.hub.acks().get(user, name));
        if let Some(slot) = open.slot_of(name) {
            let subscription = open.subscriptions[slot].as_mut().expect("slot_of() found it");
            let (reply, gap, offset) = subscription.channel.rejoin(self.hub.epoch(), from, acked);
            subscription.offset = offset;
            self.bell.come_again(slot_number(slot));
            return Ok((reply, gap));
        }
        let slot = open.free_slot(self.hub.limits().channels_max)?;
        let who = Joining {
            bell: &self.bell,
            slot: slot_number(slot),
            session: open.session.id,
            user: identity.user.as_ref(),
            acked,
            epoch: self.hub.epoch(),
            wall_ms: now.wall_ms,
        };
        let (channel, joined) = self.hub.join(name, &who, from)?;
        if channel.rule.presence != crate::PresenceMode::Off {
            open.session.lock().present_in.insert(&channel);
        }
        self.bell.come_again(slot_number(slot));
        let (seat, offset, presence_seen) = (joined.seat, joined.offset, joined.presence_seen);
        open.subscriptions[slot] = Some(Subscription { channel, seat, offset, presence_seen });
        Ok((joined.reply, joined.gap))
    }

    /// Notes how far the app has taken channels that keep an acknowledged position.
    pub(super) fn take_acks(&self, acks: &BTreeMap<String, Cursor>) {
        let Stage::Open(open) = &self.stage else { return };
        let identity = Arc::clone(&open.session.lock().login.identity);
        let Some(user) = &identity.user else { return };
        for (name, cursor) in acks {
            // Only what this connection reads: whoever reads a channel may, and its log is at hand.
            let mut subscriptions = open.subscriptions.iter().flatten();
            let Some(found) = subscriptions.find(|found| found.channel.name.as_str() == name) else {
                continue;
            };
            let known = cursor.epoch == self.hub.epoch() && cursor.offset <= found.offset;
            if found.channel.rule.ack && known {
                self.hub.acks().advance(user, &found.channel.name, cursor.offset);
            }
        }
    }

    fn unsubscribe(&mut self, name: &str) -> Result<(), ErrorBody> {
        let channel = parse_channel(name)?;
        if channel.is_user() {
            return Err(ErrorBody::new(ErrorCode::PermissionDenied, "an inbox cannot be unsubscribed"));
        }
        let Stage::Open(open) = &mut self.stage else { return Ok(()) };
        if let Some(slot) = open.slot_of(&channel) {
            self.end_subscription(slot);
        }
        Ok(())
    }

    fn end_subscription(&mut self, slot: usize) {
        let Stage::Open(open) = &mut self.stage else { return };
        let Some(ended) = open.subscriptions[slot].take() else { return };
        ended.channel.part(ended.seat);
        open.session.lock().present_in.remove(&ended.channel);
        let session = open.session.id;
        let ring = ended.channel.with_presence(|presence, name| presence.leave(name, session));
        self.hub.pump_if(ring, &ended.channel);
    }

    fn history(&mut self, id: RequestId, body: &History<'_>) {
        let mut page = Vec::new();
        let read = self.parse_readable(&body.channel).and_then(|name| {
            let limits = self.hub.limits();
            let epoch = self.hub.epoch();
            let wanted = body.limit.clamp(1, limits.history_page_max);
            let bytes_max = limits.history_page_bytes_max;
            let empty = Log::new(0, 0);
            let mut read = |log: &Log| write_page(&mut page, log, epoch, body, wanted, bytes_max);
            match self.hub.find_channel(&name) {
                Some(channel) => channel.with_log(read),
                None => read(&empty),
            }
        });
        match read {
            Ok(()) => {
                self.control.extend_from_slice(b"{\"id\":");
                json::write_json(&mut self.control, &id);
                self.control.extend_from_slice(b",\"ok\":");
                self.control.append(&mut page);
                self.control.extend_from_slice(b"}\n");
            }
            Err(error) => self.reply(id, Err::<&(), _>(&error)),
        }
    }

    /// Goes on with an `auth` request whose token was checked.
    pub(super) fn handle_refresh_login(&mut self, now: Now, result: Result<Identity, LoginRefused>) {
        let Stage::Open(open) = &mut self.stage else { return };
        let Some(id) = open.refreshing.take().map(NonZeroU64::get) else { return };
        let session = Arc::clone(&open.session);
        let refused = match result {
            Err(error) => Some(error.to_string()),
            Ok(identity) if identity.user != session.user() => Some("the token is another user's".to_owned()),
            Ok(identity) => {
                let login = self.hub.login(now, identity);
                session.lock().login = login.clone();
                let (ticket, ticket_expires_at) = self.hub.seal_ticket(now, &session, &login);
                let expires_at = login.expires_at;
                if let Stage::Open(open) = &mut self.stage {
                    open.auth_until_ms = until(now, expires_at);
                    open.ticket_due_ms = ticket_due_ms(now, ticket_expires_at, &login);
                }
                self.reply(id, Ok(&AuthRefreshed { expires_at, ticket }));
                self.end_forbidden(&login.identity);
                None
            }
        };
        if let Some(words) = refused {
            self.reply(id, Err::<&(), _>(&ErrorBody::new(ErrorCode::PermissionDenied, words)));
        }
    }

    /// Ends the subscriptions that a new token does not open any more.
    fn end_forbidden(&mut self, identity: &Identity) {
        let Stage::Open(open) = &self.stage else { return };
        for slot in 0..open.subscriptions.len() {
            let Stage::Open(open) = &self.stage else { return };
            let Some(subscription) = &open.subscriptions[slot] else { continue };
            let channel = &subscription.channel;
            if identity.may_read(&channel.name, channel.rule.subscribe) {
                continue;
            }
            let told = Unsubscribed {
                channel: channel.name.to_string(),
                code: ErrorCode::PermissionDenied,
                message: "the new token does not open this channel".to_owned(),
            };
            self.end_subscription(slot);
            json::write_server(&mut self.control, "unsubscribed", &told);
        }
    }

    /// Answers a request whose repetition is harmless.
    fn reply(&mut self, id: RequestId, result: Result<&impl serde::Serialize, &ErrorBody>) {
        json::write_reply(&mut self.control, id, result);
    }

    /// Answers a request that is executed once: the reply is kept until it is seen.
    fn settle(&mut self, id: RequestId, result: Result<&impl serde::Serialize, &ErrorBody>) {
        let from = self.control.len();
        json::write_reply(&mut self.control, id, result);
        let Stage::Open(open) = &self.stage else { return };
        let mut state = open.session.lock();
        self.hub.book(&mut state, |ledger| ledger.settle(id, &self.control[from..]));
    }
}

/// The `ok` of requests that return nothing: `{}`.
#[derive(serde::Serialize)]
struct Empty {}

impl Open {
    fn slot_of(&self, name: &ChannelName) -> Option<usize> {
        self.subscriptions
            .iter()
            .position(|slot| slot.as_ref().is_some_and(|found| found.channel.name == *name))
    }

    fn free_slot(&mut self, channels_max: usize) -> Result<usize, ErrorBody> {
        if let Some(free) = self.subscriptions.iter().position(Option::is_none) {
            return Ok(free);
        }
        if self.subscriptions.len() >= channels_max {
            let words = format!("a connection may be subscribed to {channels_max} channels");
            return Err(ErrorBody::new(ErrorCode::Limit, words));
        }
        if self.subscriptions.len() < 4 {
            // Most connections have very few: do not keep room for four.
            self.subscriptions.reserve_exact(1);
        }
        self.subscriptions.push(None);
        Ok(self.subscriptions.len() - 1)
    }
}

fn slot_number(slot: usize) -> u32 {
    u32::try_from(slot).expect("slots are bounded by channels_max")
}

/// Writes the `ok` of `history`.
fn write_page(
    out: &mut Vec<u8>,
    log: &Log,
    epoch: &str,
    body: &History<'_>,
    limit: usize,
    bytes_max: usize,
) -> Result<(), ErrorBody> {
    let (offsets, more) = page_offsets(log, epoch, body, limit)?;
    let (first, last) = fitting(log, offsets, body.after.is_some(), bytes_max);
    let cut = (first, last) != offsets;
    out.extend_from_slice(b"{\"epoch\":");
    json::write_json(out, &epoch);
    out.extend_from_slice(b",\"publications\":[");
    for (index, entry) in (first + 1..=last).filter_map(|offset| log.entry(offset)).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        entry.write_history(out);
    }
    out.extend_from_slice(b"],\"more\":");
    json::write_json(out, &(more || cut));
    out.push(b'}');
    Ok(())
}

/// The part of a page that fits, one publication at least. A page that is cut keeps the end that was asked for.
fn fitting(log: &Log, (first, last): (u64, u64), forwards: bool, bytes_max: usize) -> (u64, u64) {
    let mut bytes = 0;
    let mut kept = 0;
    for step in 0..last - first {
        let offset = if forwards { first + 1 + step } else { last - step };
        bytes += log.entry(offset).map_or(0, Entry::history_bytes);
        if kept > 0 && bytes > bytes_max {
            break;
        }
        kept += 1;
    }
    if forwards { (first, first + kept) } else { (last - kept, last) }
}

/// The offsets of a page, the first one excluded, and whether there is more behind it.
fn page_offsets(
    log: &Log,
    epoch: &str,
    body: &History<'_>,
    limit: usize,
) -> Result<((u64, u64), bool), ErrorBody> {
    let limit = limit as u64;
    let located = |cursor: &Cursor| match log.locate(epoch, cursor) {
        Place::At(offset) => Ok(offset),
        Place::Gap { reason, .. } => {
            let words = format!("the log cannot prove what follows this cursor ({reason:?})");
            Err(ErrorBody::new(ErrorCode::Gap, words))
        }
    };
    if let Some(after) = &body.after {
        let after = match after {
            After::Word(_) => log.base(),
            After::Cursor(cursor) => located(cursor)?,
        };
        let last = log.head().min(after + limit);
        return Ok(((after, last), last < log.head()));
    }
    let last = match &body.before {
        Some(cursor) => located(cursor)?.saturating_sub(1).max(log.base()),
        None => log.head(),
    };
    let first = last.saturating_sub(limit).max(log.base());
    Ok(((first, last), first > log.base()))
}
