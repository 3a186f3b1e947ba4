//! Channels to which the gateway subscribes the client by itself, as its login says (`welcome.subs`; protocol, section 5).

use super::{Subscription, Subscriptions};
use crate::ReadFrom;

impl Subscriptions {
    /// The welcome says that the gateway has subscribed the channel: without a wish of the app's it is there, too. The
    /// gateway starts it at the acknowledged position where it keeps one, and so wants to know how far the app gets.
    pub(in crate::client) fn adopt(&mut self, channel: &str) {
        self.by_name
            .entry(channel.to_owned())
            .or_insert_with(|| Subscription { by_server: true, ..Subscription::new(ReadFrom::Acked) });
    }

    /// The app asks for the channel: it is the app's from now on.
    pub(in crate::client) fn want(&mut self, channel: &str) {
        if let Some(subscription) = self.by_name.get_mut(channel) {
            subscription.wanted = true;
        }
    }

    /// True where the gateway has subscribed the channel, and the app has not asked for it.
    pub(in crate::client) fn is_by_server(&self, channel: &str) -> bool {
        self.by_name.get(channel).is_some_and(|it| it.by_server && !it.wanted)
    }
}
