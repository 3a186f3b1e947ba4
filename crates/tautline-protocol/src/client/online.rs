//! What is said on an open line: packets in, requests out, subscriptions (protocol, sections 4 and 5).

use std::collections::BTreeMap;

use serde_json::value::{RawValue, to_raw_value};

use super::{
    DropCause, NewRequest, Output, PublicationEvent, Session, Settlement, State, WelcomeEvent,
    outbox::Origin, session::Stage, subscription::Arrival,
};
use crate::{
    ByeCode, ErrorCode, Now, ReadFrom, RequestId,
    json::{self, Marks},
    packet::{
        ErrorBody, ServerPacket, Welcome,
        client::{ChannelOnly, Subscribe},
        server::{ChannelWelcome, Gap, Publication, Subscribed},
    },
};

impl Session {
    pub(super) fn socket_message(&mut self, now: Now, number: u64, text: &str) {
        for line in json::packets(text) {
            // A packet may end the line; what follows it in the same message is of no more interest.
            if self.socket.as_ref().is_none_or(|socket| socket.number != number) {
                return;
            }
            match json::parse_server(line) {
                Ok(packet) => self.packet(now, packet),
                Err(_) => {
                    let dropped = self.dropped(DropCause::ProtocolError);
                    self.drop_line(now, dropped);
                }
            }
        }
    }

    fn packet(&mut self, now: Now, packet: ServerPacket<'_>) {
        let is_pong = matches!(packet, ServerPacket::Pong(_));
        self.heartbeat.on_received(now.mono_ms, is_pong, self.probe_due_ms(now));
        match packet {
            ServerPacket::Bye(id, bye) => self.bye(now, id, bye),
            ServerPacket::Welcome(welcome) if self.is_greeting() => self.welcome(now, *welcome),
            ServerPacket::Challenge(_) if self.is_greeting() => self.challenged(now),
            packet if self.is_online() => self.packet_online(now, packet),
            _ => {}
        }
    }

    fn is_greeting(&self) -> bool {
        self.socket.as_ref().is_some_and(|socket| socket.stage == Stage::Greeting)
    }

    fn packet_online(&mut self, now: Now, packet: ServerPacket<'_>) {
        match packet {
            ServerPacket::Reply(id, result) => self.reply(now, id, result),
            ServerPacket::Pub(publication) => self.publication(publication),
            ServerPacket::Gap(gap) => self.gap(gap),
            ServerPacket::Unsubscribed(end) if self.subscriptions.can_be_ended(&end.channel) => {
                self.refuse(now, end.channel, ErrorBody::new(end.code, end.message));
            }
            ServerPacket::Presence(kind, change) if self.subscriptions.is_heard(&change.channel) => {
                self.emit(Output::Presence(kind, change));
            }
            ServerPacket::Ticket(fresh) => self.identity.set_ticket(fresh.ticket),
            _ => {}
        }
    }

    fn welcome(&mut self, now: Now, welcome: Welcome) {
        let Welcome { session, ticket, resumed, user, requests_seen, ping_ms, pong_ms, .. } = welcome;
        if let Some(socket) = &mut self.socket {
            socket.stage = Stage::Online;
        }
        self.online_since_ms = now.mono_ms;
        self.active_ms = now.mono_ms;
        self.message_bytes_max = welcome.max_message_bytes;
        self.identity.welcomed(ticket);
        // Whatever the host says.
        self.backoff.set_online(true);
        self.heartbeat.begin(now.mono_ms, ping_ms, pong_ms);
        self.refresh.begin(now.mono_ms, welcome.now, welcome.auth_expires_at, &mut self.random);
        if !resumed {
            self.heartbeat.on_seen_reported(0);
        }
        let own = user
            .as_ref()
            .filter(|user| !user.is_empty())
            .map(|user| format!("{}{user}", crate::ChannelName::USER_PREFIX));
        self.subscriptions.begin(own.as_deref());
        let offline_ms = self.identity.first_drop.take().map_or(0, |first| now.mono_ms - first.since_ms);
        let (node, server_now) = (welcome.node, welcome.now);
        self.emit(Output::Welcome(WelcomeEvent {
            session,
            user,
            resumed,
            node,
            now: server_now,
            offline_ms,
        }));
        self.set_state(State::Online);
        let settled = self.outbox.begin(resumed, requests_seen);
        self.settle(settled);
        for channel in &welcome.subs {
            if matches!(welcome.channels.get(channel), Some(ChannelWelcome::Subscribed(_))) {
                self.subscriptions.adopt(channel);
            }
        }
        for channel in self.subscriptions.names() {
            match welcome.channels.get(&channel).filter(|_| self.subscriptions.is_answered(&channel)) {
                Some(ChannelWelcome::Subscribed(at)) => self.confirm(now, channel, at),
                Some(ChannelWelcome::Refused { error }) => {
                    self.refuse(now, channel, error.clone());
                }
                // Or named, but not for what the hello said: it did not fit, or the app left behind the hello and came again.
                None => self.ask_for(&channel, true),
            }
        }
        self.leave_unwanted(&welcome.channels);
    }

    /// What was unsubscribed behind the hello is still subscribed on the server.
    fn leave_unwanted(&mut self, named: &BTreeMap<String, ChannelWelcome>) {
        for (channel, standing) in named {
            let subscribed = matches!(standing, ChannelWelcome::Subscribed(_));
            if subscribed && self.subscriptions.get(channel).is_none() {
                self.queue_unsubscribe(channel);
            }
        }
    }

    fn reply(&mut self, now: Now, id: RequestId, result: Result<&RawValue, ErrorBody>) {
        self.heartbeat.on_reply();
        self.active_ms = now.mono_ms;
        let Some(entry) = self.outbox.answer(id) else { return };
        match entry.origin {
            Origin::App { request, .. } => {
                let result = match result {
                    Ok(body) => Settlement::Ok(body.to_owned()),
                    Err(error) => Settlement::Refused(error),
                };
                self.emit(Output::Settled { request, result });
            }
            Origin::Subscribe { channel } => self.subscribe_reply(now, channel, entry.serial, result),
            Origin::Unsubscribe { channel } => self.subscriptions.left(&channel, entry.serial),
            Origin::Auth => self.refreshed(now, result),
        }
    }

    fn subscribe_reply(
        &mut self,
        now: Now,
        channel: String,
        serial: u64,
        result: Result<&RawValue, ErrorBody>,
    ) {
        let Some(subscription) = self.subscriptions.get(&channel) else { return };
        if subscription.asked != Some(serial) {
            return;
        }
        let known = subscription.confirmed_cursor().is_some();
        match result.map(|body| serde_json::from_str::<Subscribed>(body.get())) {
            Ok(Ok(_)) if known => subscription.asked = None,
            Ok(Ok(at)) => self.confirm(now, channel, &at),
            Ok(Err(error)) => self.end_subscription(channel, ErrorCode::Internal, error.to_string()),
            Err(error) => self.refuse(now, channel, error),
        }
    }

    /// A `bye` named the request that it is about.
    pub(super) fn fail_request(&mut self, id: RequestId, code: ByeCode, message: String) {
        let Some(entry) = self.outbox.answer(id) else { return };
        let code = ErrorCode::from(code.as_str());
        match entry.origin {
            Origin::App { request, .. } => {
                let result = Settlement::Refused(ErrorBody::new(code, message));
                self.emit(Output::Settled { request, result });
            }
            Origin::Subscribe { channel } => self.end_subscription(channel, code, message),
            Origin::Unsubscribe { .. } | Origin::Auth => {}
        }
    }

    fn publication(&mut self, publication: Publication<'_>) {
        let Publication { channel, offset, at, data, from, tags } = publication;
        match self.subscriptions.arrive(&channel, offset, at) {
            Arrival::Next { epoch, redelivered } => self.emit(Output::Publication(PublicationEvent {
                channel: channel.into_owned(),
                epoch,
                offset,
                at,
                data: data.to_owned(),
                from: from.map(std::borrow::Cow::into_owned),
                tags: tags.map(ToOwned::to_owned),
                redelivered,
            })),
            Arrival::Known => {}
            Arrival::Jump => self.ask_for(&channel, false),
        }
    }

    fn gap(&mut self, gap: Gap) {
        if self.subscriptions.gap(&gap) {
            self.emit(Output::Gap(gap));
        }
    }

    fn confirm(&mut self, now: Now, channel: String, at: &Subscribed) {
        if let Some(cursor) = self.subscriptions.confirm(&channel, at) {
            let by_server = self.subscriptions.is_by_server(&channel);
            self.emit(Output::Subscribed { channel, cursor, recovering: at.recovering, by_server });
        } else if self.subscriptions.is_leaving(&channel) {
            self.leave(now, &channel);
        }
    }

    pub(super) fn end_subscription(&mut self, channel: String, code: ErrorCode, message: String) {
        if self.subscriptions.get(&channel).is_some() {
            let was_leaving = self.subscriptions.is_leaving(&channel);
            self.subscriptions.remove(&channel);
            if was_leaving {
                return;
            }
            self.emit(Output::Unsubscribed { channel, code, message });
        }
    }

    /// Sends a `subscribe`, unless one is under way; `early`, before requests that wait.
    pub(super) fn ask_for(&mut self, channel: &str, early: bool) {
        let Some(subscription) = self.subscriptions.get(channel).filter(|it| it.asked.is_none()) else {
            return;
        };
        subscription.retry_at_ms = None;
        let from = subscription.start();
        let body = raw(&Subscribe { channel: channel.into(), from });
        let serial = self.outbox.push_subscribe(channel.to_owned(), body, early);
        if let Some(subscription) = self.subscriptions.get(channel) {
            subscription.asked = Some(serial);
        }
    }

    /// The app can take no more publications just now, or can again. What comes meanwhile is passed over, so that replies
    /// behind it can be read, and asked for again afterwards. For shells whose apps read at their own pace.
    pub fn hold_publications(&mut self, now: Now, holds: bool) {
        let passed_over = self.subscriptions.hold(holds);
        if !self.is_online() {
            return;
        }
        for channel in passed_over {
            self.ask_for(&channel, false);
        }
        self.pump(now);
        self.flush();
        self.update_stored(now, false);
    }

    pub(super) fn request(&mut self, now: Now, mut new: NewRequest) {
        self.request_connection(false);
        self.active_ms = now.mono_ms;
        new.body = on_one_line(new.body);
        let settled = self.outbox.push_request(now, new, self.message_bytes_max, &self.options);
        self.settle(settled);
    }

    pub(super) fn subscribe(&mut self, now: Now, channel: String, from: ReadFrom) {
        self.request_connection(false);
        self.active_ms = now.mono_ms;
        if from == ReadFrom::Now
            && let Some(subscription) = self.subscriptions.get(&channel).filter(|it| !it.leaving)
        {
            subscription.wanted = true;
            if let Some(cursor) = subscription.confirmed_cursor() {
                self.emit(Output::Subscribed { channel, cursor, recovering: 0, by_server: false });
            }
            return;
        }
        // What lies behind the new start is not acknowledged any more, as far as the server can see.
        if self.is_online() && self.subscriptions.ack_waits(&channel) {
            self.ping(now);
        }
        let claimed = self.subscriptions.claimed_start(now.mono_ms, &channel, &from);
        let keeps_acks = claimed.is_some() && from == ReadFrom::Acked;
        self.subscriptions.add(now.mono_ms, channel.clone(), claimed.map_or(from, ReadFrom::Cursor));
        self.subscriptions.want(&channel);
        if keeps_acks {
            self.subscriptions.keep_acks(&channel);
        }
        if self.is_online() {
            self.ask_for(&channel, false);
        }
    }

    pub(super) fn unsubscribe(&mut self, now: Now, channel: &str) {
        let is_there = self.subscriptions.get(channel).is_some_and(|it| !it.leaving);
        if !is_there || self.subscriptions.is_own(channel) {
            return;
        }
        self.active_ms = now.mono_ms;
        self.subscriptions.leave(channel);
        // Without a connection nothing need be said: the next hello does not name the channel, or leaves it then.
        if self.is_online() {
            self.leave(now, channel);
        }
    }

    /// Tells the server that a channel is unsubscribed; and before it, where the server wants to know, what the app has
    /// handled.
    fn leave(&mut self, now: Now, channel: &str) {
        if !self.subscriptions.can_leave(channel) {
            return;
        }
        if self.subscriptions.ack_waits(channel) {
            self.ping(now);
        }
        let serial = self.queue_unsubscribe(channel);
        if let Some(subscription) = self.subscriptions.get(channel) {
            subscription.left_by = Some(serial);
        }
    }

    fn queue_unsubscribe(&mut self, channel: &str) -> u64 {
        self.outbox.push_unsubscribe(channel.to_owned(), raw(&ChannelOnly { channel: channel.into() }))
    }

    /// Sends what may be sent, and reports what must not wait. Called after every input while online.
    pub(super) fn pump(&mut self, now: Now) {
        let mut settled = Vec::new();
        while let Some((entry, again)) = self.outbox.next_to_send(self.message_bytes_max, &mut settled) {
            let (id, verb, body) = (entry.id, entry.verb, entry.body.clone());
            // What had to be settled on the way has moved it, too.
            let seen = self.outbox.seen();
            let moved = seen > self.heartbeat.seen_reported;
            if moved {
                self.heartbeat.on_seen_reported(seen);
            }
            self.settle(std::mem::take(&mut settled));
            self.queue_packet(now, Marks { id, seen: moved.then_some(seen), again }, verb, &body);
        }
        self.settle(settled);
        let waiting = self.has_report();
        self.heartbeat.on_report(now.mono_ms, waiting);
        if self.heartbeat.report_is_urgent() {
            self.ping(now);
            self.heartbeat.on_report(now.mono_ms, false);
        }
    }

    pub(super) fn has_report(&self) -> bool {
        self.outbox.seen() > self.heartbeat.seen_reported || self.subscriptions.acks_wait()
    }
}

pub(super) fn raw(body: &impl serde::Serialize) -> Box<RawValue> {
    to_raw_value(body).expect("a body of our own is json")
}

/// A packet is one line: raw line breaks between tokens become spaces.
fn on_one_line(body: Box<RawValue>) -> Box<RawValue> {
    if !body.get().contains(['\n', '\r']) {
        return body;
    }
    let text = body.get().replace(['\n', '\r'], " ");
    RawValue::from_string(text).expect("white space between tokens may be any white space")
}
