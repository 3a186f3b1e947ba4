//! Output of a peer: replies first, then publications, read from the logs at the client's own pace.
//!
//! Start at [`Peer::poll_output`].

use bytes::Bytes;
use tautline_protocol::{ByeCode, Format, Now, json, msgpack};

use super::{
    Peer,
    output::Output,
    stage::{ActiveSession, BYE_RECEIVED, Stage, Subscription},
};
use crate::{
    channel::ReaderPositions,
    questions::QuestionAnswer,
    story::{StoryKind, of_gap},
};

impl Peer {
    /// Returns the next action for the shell. Drain to `None` after every input and every wake, while the
    /// socket takes bytes: undrained publications stay in the logs and cost nothing.
    pub fn poll_output(&mut self, now: Now) -> Option<Output> {
        self.drain_mailbox(now);
        loop {
            if !self.control.is_empty() {
                return Some(Output::Message(self.take_control().into()));
            }
            if let Some(output) = self.next_output() {
                return Some(output);
            }
            if let Stage::Closing(close) = &mut self.stage {
                let (code, reason) = close.take()?;
                return Some(Output::Close { code, reason });
            }
            if self.run_held(now) {
                // A fast engine has answered by now.
                self.drain_mailbox(now);
                continue;
            }
            if self.resume_held(now) {
                continue;
            }
            match self.deliver_next(now) {
                NextDelivery::Packets(packets) => return Some(Output::Message(packets)),
                NextDelivery::Control => {}
                NextDelivery::Nothing => return None,
            }
        }
    }

    /// Drains the mailbox and applies its contents.
    pub(super) fn drain_mailbox(&mut self, now: Now) {
        let Some(mut pending) = self.mailbox.drain() else { return self.send_deferred_bye(now) };
        self.take_replies(std::mem::take(&mut pending.packets));
        self.rare.take_if(|rare| {
            rare.engine_jobs = rare.engine_jobs.saturating_sub(pending.completed);
            rare.is_empty()
        });
        // No answer counts behind the final `bye`.
        if let Some(bye) = pending.bye.take_if(|bye| bye.code != ByeCode::ServerRestart) {
            self.close_with_bye(now, None, bye);
        }
        if let Some(claim) = pending.claim.take() {
            self.handle_claim(now, claim);
        }
        for (number, stat) in pending.lookups.drain(..) {
            self.handle_lookup(now, number, stat);
        }
        for (number, answer) in pending.answers.drain(..) {
            match answer {
                QuestionAnswer::Login(result) => self.take_login(now, number, result),
                QuestionAnswer::Authorization(answer) => self.take_authorization(now, number, answer),
            }
        }
        if pending.review {
            self.review_permissions();
        }
        for (channel, message) in pending.unsubscribed.drain(..) {
            self.end_by_control(&channel, message);
        }
        if pending.renew_ticket {
            self.send_fresh_ticket(now);
        }
        if pending.admitted {
            self.on_admitted(now);
        }
        if pending.revoked && matches!(self.stage, Stage::Leaving) {
            self.stage = BYE_RECEIVED;
        }
        if let Some(bye) = pending.bye {
            // Running requests are answered first; no new ones are accepted.
            self.rare.get_or_insert_default().deferred_bye = Some(bye);
        }
        self.send_deferred_bye(now);
    }

    /// Sends the `bye` of a draining node once no request runs any more. The last one may have been settled without
    /// the mailbox, as a refused one is.
    fn send_deferred_bye(&mut self, now: Now) {
        if self.rare.as_ref().is_some_and(|rare| rare.deferred_bye.is_some())
            && !self.is_running()
            && let Some(bye) = self.rare.as_mut().and_then(|rare| rare.deferred_bye.take())
        {
            // The last running request may have completed after the mailbox was drained.
            let packets = self.mailbox.take_packets();
            self.take_replies(packets);
            self.close_with_bye(now, None, bye);
        }
    }

    fn take_replies(&mut self, packets: Vec<u8>) {
        if !matches!(self.stage, Stage::Active(_)) {
            return;
        }
        if self.control.is_empty() {
            self.control = packets;
        } else {
            self.control.extend_from_slice(&packets);
        }
    }

    /// True while a request of the session is executed.
    fn is_running(&self) -> bool {
        let Stage::Active(open) = &self.stage else { return false };
        open.session.owned_by(&self.mailbox).is_some_and(|session| session.ledger().running() > 0)
    }

    /// Resumes reading the held input. Returns true if a packet was read.
    fn resume_held(&mut self, now: Now) -> bool {
        if self.is_blocked() {
            return false;
        }
        let Some(mut held) = self.held.take() else { return false };
        let read = self.read_packets(now, &held.text[held.read..]);
        held.read += read;
        if held.read < held.text.len() {
            self.held = Some(held);
        }
        read > 0
    }

    fn next_output(&mut self) -> Option<Output> {
        let next = self.rare.as_mut()?.pending_outputs.pop_front();
        self.rare.take_if(|rare| rare.is_empty());
        next
    }

    fn deliver_next(&mut self, now: Now) -> NextDelivery {
        let Stage::Active(open) = &mut self.stage else { return NextDelivery::Nothing };
        if self.paused {
            return NextDelivery::Nothing;
        }
        let Some(slot) = self.mailbox.pop_ready() else { return NextDelivery::Nothing };
        let Some(subscription) = open.subscriptions.get_mut(slot as usize).and_then(Option::as_mut) else {
            // Notified before the client unsubscribed.
            return NextDelivery::Control;
        };
        let bytes_max = self.hub.limits().batch_bytes_max;
        let channel = &subscription.channel;
        let before = subscription.position.offset;
        let positions = ReaderPositions {
            position: &mut subscription.position,
            presence_seen: &mut subscription.presence_seen,
        };
        let mut delivery = channel.read(subscription.subscriber, positions, bytes_max, &mut self.control);
        if delivery.behind {
            let position = &mut subscription.position;
            if let Some((packets, to)) =
                self.hub.page(now, channel, (position.generation, position.offset), &self.mailbox, slot)
            {
                position.offset = to;
                delivery.more = channel.read_page(subscription.subscriber, to);
                delivery.packets = Some(packets);
            }
        }
        if delivery.more {
            self.mailbox.requeue(slot);
        }
        let counters = &self.hub.0.counters;
        if let Some(gap) = delivery.gap {
            counters.count_gap(&gap);
            self.hub.tell_of(now, &open.session, StoryKind::Gap, || of_gap(&gap));
            json::write_server(&mut self.control, "gap", &gap);
        } else {
            let count = subscription.position.offset.saturating_sub(before);
            counters.count_deliveries(self.mailbox.connection, count);
        }
        let format = self.mailbox.format();
        match delivery.packets.as_ref().map(|packets| packets.encode(format)) {
            Some(packets) if self.control.is_empty() => NextDelivery::Packets(packets.clone()),
            Some(packets) => {
                let mut message = self.take_control();
                message.extend_from_slice(packets);
                NextDelivery::Packets(message.into())
            }
            None => NextDelivery::Control,
        }
    }

    /// Takes the pending control packets in the connection's format.
    fn take_control(&mut self) -> Vec<u8> {
        let control = std::mem::take(&mut self.control);
        match self.mailbox.format() {
            Format::Json => control,
            Format::Msgpack => msgpack::from_json(&control),
        }
    }

    /// The client announced that it goes away: other clients see it leave at once, and the server sends
    /// nothing more. Any later packet of the client undoes this.
    pub(super) fn pause(&mut self, now: Now) {
        let Stage::Active(open) = &mut self.stage else { return };
        let Some(session) = open.session.owned_by(&self.mailbox) else { return };
        self.paused = true;
        session.pause(&self.hub, now);
    }

    /// Detaches the connection from its session: removes the subscriptions and parks the session, unless a
    /// newer connection owns it.
    pub(super) fn park(&mut self, now: Now, open: &ActiveSession) {
        self.drop_held(open);
        self.rare.take_if(|rare| {
            (rare.subscribing, rare.refreshing) = (None, None);
            rare.is_empty()
        });
        for (slot, subscription) in (0..).zip(&open.subscriptions) {
            if let Some(Subscription { channel, subscriber, presence_seen, .. }) = subscription {
                let events = self.hub.events_at(now);
                let is_last = channel.remove_subscriber(*subscriber, *presence_seen, events);
                self.hub.count_unsubscribed(&channel.name, is_last);
                self.hub.cancel_page(&self.mailbox, slot);
            }
        }
        if let Some(session) = open.session.owned_by(&self.mailbox) {
            session.park(&self.hub, now);
        }
    }
}

enum NextDelivery {
    Packets(Bytes),
    /// Control packets may be pending; poll again.
    Control,
    Nothing,
}
