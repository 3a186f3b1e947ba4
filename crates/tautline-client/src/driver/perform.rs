//! Carries out what the session says.

use tautline_protocol::client::{Output, PublicationEvent, SocketClosed};
use tracing::debug;

use super::Driver;
use crate::{
    client::ClientEvent,
    delivery::Delivery,
    dial::dial,
    handle_events::Handled,
    subscription::{Publication, SubscriptionEvent},
};

impl Driver {
    pub(super) fn perform_all(&mut self, outputs: Vec<Output>) {
        outputs.into_iter().for_each(|output| self.perform(output));
    }

    pub(super) fn perform(&mut self, output: Output) {
        match output {
            Output::FetchAuth { renew } => self.pending_login = Some(self.login.fetch(renew)),
            Output::Dial { socket } => {
                let dial = dial(self.address.clone(), self.door.clone(), self.format, self.random.bytes());
                self.dialling = Some((socket, Box::pin(dial)));
            }
            Output::Send { socket, text } => {
                if let Some(live) = self.socket.as_mut().filter(|live| live.number == socket) {
                    live.send(&text, &mut self.random);
                }
            }
            Output::CloseSocket { socket } => self.close_socket(socket),
            Output::Settled { request, result } => {
                if let Some(settled) = self.requests.remove(&request) {
                    // The app may have stopped waiting.
                    let _ = settled.send(result);
                }
            }
            Output::Publication(publication) => self.deliver_publication(publication),
            Output::Gap(gap) => {
                let channel = gap.channel.clone();
                self.deliveries.deliver(&channel, SubscriptionEvent::Gap(gap));
            }
            Output::Subscribed { channel, cursor, recovering, by_server: true } => {
                self.tell(ClientEvent::Subscribed { channel, cursor, recovering });
            }
            Output::Subscribed { channel, cursor, recovering, .. } => {
                self.deliveries.deliver(&channel, SubscriptionEvent::Subscribed { cursor, recovering });
            }
            Output::Unsubscribed { channel, code, message } => {
                self.deliveries.deliver(&channel, SubscriptionEvent::Ended { code, message });
            }
            Output::Presence(kind, change) => {
                let channel = change.channel.clone();
                self.deliveries.deliver(&channel, SubscriptionEvent::Presence(kind, change));
            }
            Output::Welcome(welcome) => {
                self.session_id.clone_from(&welcome.session);
                self.tell(ClientEvent::Welcome(welcome));
            }
            Output::Drop(dropped) => {
                debug!(cause = dropped.cause.as_str(), message = ?dropped.message, "the line is down");
                self.tell(ClientEvent::Dropped(dropped));
            }
            Output::State(state) => {
                self.channels.state.send_replace(state);
                self.tell(ClientEvent::State(state));
            }
        }
    }

    pub(super) fn tell(&self, event: ClientEvent) {
        // Nobody has to listen.
        let _ = self.channels.events.send(event);
    }

    fn deliver_publication(&mut self, publication: PublicationEvent) {
        let is_excluded = publication.excluded().is_some_and(|session| session == self.session_id);
        let PublicationEvent { channel, epoch, offset, at, data, from, tags, redelivered } = publication;
        if is_excluded {
            let handled = Handled { channel: channel.clone(), epoch, offset };
            return self.deliveries.deliver(&channel, Delivery::Skipped(handled));
        }
        let publication =
            Publication { channel: channel.clone(), epoch, offset, at, data, from, tags, redelivered };
        self.deliveries.deliver(&channel, SubscriptionEvent::Publication(publication));
    }

    fn close_socket(&mut self, number: u64) {
        if self.dialling.take_if(|(dialling, _)| *dialling == number).is_none()
            && let Some(socket) = self.socket.as_mut().filter(|socket| socket.number == number)
        {
            socket.close(1000, &mut self.random);
            self.leave(number);
        }
        // This host counts no sockets, so the slot is free at once, while the goodbye goes on.
        self.closed.push_back(SocketClosed { socket: number, ..SocketClosed::default() });
    }

    /// Lets a socket say what it still has to say, without us.
    pub(super) fn leave(&mut self, number: u64) {
        if let Some(socket) = self.socket.take_if(|socket| socket.number == number) {
            self.closing_sockets.spawn(socket.farewell());
        }
    }
}
