//! What a client is sent: replies first, then publications read from the logs at its own pace.

use bytes::Bytes;
use tautline_protocol::{ByeCode, Format, Now, json, msgpack};

use super::{BYE_SAID, Open, Output, Peer, Stage};
use crate::channel::Places;

impl Peer {
    /// What the shell is to do next. Drain to `None` after every input and every wake, while the socket takes bytes:
    /// what is not drained stays in the logs and costs nothing.
    pub fn poll_output(&mut self, now: Now) -> Option<Output> {
        self.take_mail(now);
        loop {
            if !self.control.is_empty() {
                return Some(Output::Message(self.take_control().into()));
            }
            if let Some(errand) = self.next_errand() {
                return Some(errand);
            }
            if let Stage::Closing(close) = &mut self.stage {
                let (code, reason) = close.take()?;
                return Some(Output::Close { code, reason });
            }
            if self.read_held(now) {
                continue;
            }
            match self.deliver_next(now) {
                Delivered::Packets(packets) => return Some(Output::Message(packets)),
                Delivered::Control => {}
                Delivered::Nothing => return None,
            }
        }
    }

    /// Takes what was left with the bell.
    pub(super) fn take_mail(&mut self, now: Now) {
        let Some(mut mail) = self.bell.take_mail() else { return };
        self.take_replies(std::mem::take(&mut mail.packets));
        self.aside.take_if(|aside| {
            aside.with_engine = aside.with_engine.saturating_sub(mail.done);
            aside.is_empty()
        });
        for (number, looked) in mail.looks.drain(..) {
            self.handle_look(now, number, looked);
        }
        if mail.admitted {
            self.take_turn(now);
        }
        if mail.revoked && matches!(self.stage, Stage::Leaving) {
            self.stage = BYE_SAID;
        }
        match mail.bye {
            // What runs is answered first; nothing new is taken.
            Some(bye) if bye.code == ByeCode::ServerRestart => {
                self.aside.get_or_insert_default().farewell = Some(bye);
            }
            Some(bye) => self.dismiss(now, None, bye),
            None => {}
        }
        if self.aside.as_ref().is_some_and(|aside| aside.farewell.is_some())
            && !self.is_running()
            && let Some(bye) = self.aside.as_mut().and_then(|aside| aside.farewell.take())
        {
            // The last of them may have ended since the mail was taken.
            let packets = self.bell.take_packets();
            self.take_replies(packets);
            self.dismiss(now, None, bye);
        }
    }

    fn take_replies(&mut self, packets: Vec<u8>) {
        if !matches!(self.stage, Stage::Open(_)) {
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
        let Stage::Open(open) = &self.stage else { return false };
        open.session.owned_by(&self.bell).is_some_and(|session| session.ledger().running() > 0)
    }

    /// Goes on with what had to wait. True: some of it was taken.
    fn read_held(&mut self, now: Now) -> bool {
        if self.must_wait() {
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

    fn next_errand(&mut self) -> Option<Output> {
        let next = self.aside.as_mut()?.errands.pop_front();
        self.aside.take_if(|aside| aside.is_empty());
        next
    }

    fn deliver_next(&mut self, now: Now) -> Delivered {
        let Stage::Open(open) = &mut self.stage else { return Delivered::Nothing };
        if self.paused {
            return Delivered::Nothing;
        }
        let Some(slot) = self.bell.next_news() else { return Delivered::Nothing };
        let Some(subscription) = open.subscriptions.get_mut(slot as usize).and_then(Option::as_mut) else {
            // Rung before it was unsubscribed.
            return Delivered::Control;
        };
        let bytes_max = self.hub.limits().batch_bytes_max;
        let channel = &subscription.channel;
        let places =
            Places { place: &mut subscription.place, presence_seen: &mut subscription.presence_seen };
        let mut taken = channel.read(subscription.seat, places, bytes_max, &mut self.control);
        if taken.behind {
            let place = &mut subscription.place;
            if let Some((packets, to)) =
                self.hub.page(now, channel, (place.turn, place.offset), &self.bell, slot)
            {
                place.offset = to;
                taken.more = channel.read_page(subscription.seat, to);
                taken.packets = Some(packets);
            }
        }
        if taken.more {
            self.bell.come_again(slot);
        }
        if let Some(gap) = taken.gap {
            json::write_server(&mut self.control, "gap", &gap);
        }
        let format = self.bell.format();
        match taken.packets.as_ref().map(|packets| packets.encode(format)) {
            Some(packets) if self.control.is_empty() => Delivered::Packets(packets.clone()),
            Some(packets) => {
                let mut message = self.take_control();
                message.extend_from_slice(packets);
                Delivered::Packets(message.into())
            }
            None => Delivered::Control,
        }
    }

    /// What waits to be sent, as it is sent.
    fn take_control(&mut self) -> Vec<u8> {
        let control = std::mem::take(&mut self.control);
        match self.bell.format() {
            Format::Json => control,
            Format::Msgpack => msgpack::from_json(&control),
        }
    }

    /// The client goes away on purpose: others see it at once, and nothing more is sent. Anything said afterwards takes it
    /// back.
    pub(super) fn pause(&mut self, now: Now) {
        let Stage::Open(open) = &mut self.stage else { return };
        let Some(session) = open.session.owned_by(&self.bell) else { return };
        self.paused = true;
        session.pause(&self.hub, now);
    }

    /// Ends the connection's part in its session: subscriptions go, the session waits, unless it has a newer connection.
    pub(super) fn park(&self, now: Now, open: &Open) {
        for (slot, subscription) in (0..).zip(&open.subscriptions) {
            if let Some(subscription) = subscription {
                subscription.channel.part(subscription.seat, subscription.presence_seen);
                self.hub.leave_page(&self.bell, slot);
            }
        }
        if let Some(session) = open.session.owned_by(&self.bell) {
            session.park(&self.hub, now);
        }
    }
}

enum Delivered {
    Packets(Bytes),
    /// Something may wait to be sent first, or to be looked at next.
    Control,
    Nothing,
}
