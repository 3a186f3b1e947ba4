//! The channels that a client reads: `subscribe`, `unsubscribe`, acknowledgements (protocol, section 4).
//!
//! Start at [`Peer::begin_subscribe`].

use std::{collections::BTreeMap, sync::Arc};

use tautline_protocol::{
    ChannelName, Cursor, ErrorCode, Now, ReadFrom, RequestId, json,
    packet::{
        ErrorBody,
        server::{Gap, Subscribed, Unsubscribed},
    },
};

use super::{
    Peer,
    lookup::{ChannelRequest, PendingLookups},
    rare::PendingSubscribe,
    stage::{ActiveSession, Requester, Stage, Subscription},
};
use crate::{
    ChannelRule, Client, Decision, Identity, Permission, PresenceMode,
    channel::{SubscribeError, SubscribeParams},
    story::{StoryKind, cut, of_channel},
};

impl Peer {
    /// Asks the engine about the channel of a permitted `subscribe`.
    pub(super) fn begin_subscribe(
        &mut self,
        now: Now,
        id: RequestId,
        name: ChannelName,
        (from, is_granted): (ReadFrom, bool),
        asked_by: &Requester,
    ) {
        let Stage::Active(open) = &self.stage else { return };
        if let Err(error) = open.check_room(&name, self.hub.limits().channels_max) {
            return self.reply(id, Err::<&(), _>(&error));
        }
        let request = std::iter::once((name, from));
        let who = (asked_by.holder, asked_by.identity.user.as_ref());
        let mut lookups = PendingLookups::begin(&self.hub, now, &self.mailbox, who, request);
        self.take_lookups(&mut lookups);
        self.rare.get_or_insert_default().subscribing = Some(PendingSubscribe { id, lookups, is_granted });
        self.finish_subscribe(now);
    }

    /// Answers the pending `subscribe` once the engine has returned all lookups.
    pub(super) fn finish_subscribe(&mut self, now: Now) {
        let Some(rare) = &mut self.rare else { return };
        let Some(pending) = rare.subscribing.take_if(|pending| pending.lookups.is_over()) else { return };
        self.rare.take_if(|rare| rare.is_empty());
        let PendingSubscribe { id, lookups, is_granted } = pending;
        let request = match lookups.end() {
            // An error would end the subscription at the client; a close lets it keep the subscription and
            // retry.
            Err(error) => return self.close_for_engine(now, &error),
            Ok(requests) => requests.into_iter().next(),
        };
        let request = request.expect("begin_subscribe() requests one channel");
        // The login, the rules or the back end's word may have changed since it was permitted.
        let subscribed = match self.decide_now(now, &request.name) {
            None => Err(no_session()),
            Some(Decision::Deny) => Err(denied(Permission::Subscribe)),
            Some(Decision::Ask) if !is_granted => return self.ask_again(id, request.name, request.from),
            Some(Decision::Allow | Decision::Ask) => self.subscribe(now, &request),
        };
        let error = subscribed.as_ref().err();
        self.tell(now, StoryKind::Subscribed, || of_channel(&request.name, error));
        self.reply(id, subscribed.as_ref().map(|(reply, _)| reply));
        if let Ok((_, Some(gap))) = subscribed {
            self.hub.0.counters.count_gap(&gap);
            self.tell_gap(now, &gap);
            json::write_server(&mut self.control, "gap", &gap);
        }
    }

    /// Whether the session may subscribe, as its login is now. `None`: another connection owns it.
    fn decide_now(&self, now: Now, channel: &ChannelName) -> Option<Decision> {
        let Stage::Active(open) = &self.stage else { return None };
        let asked_by = Requester::of(&open.session.owned_by(&self.mailbox)?);
        Some(self.decide(now, channel, Permission::Subscribe, &asked_by))
    }

    /// Subscribes, or moves an existing subscription.
    pub(super) fn subscribe(
        &mut self,
        now: Now,
        requests: &ChannelRequest,
    ) -> Result<(Subscribed, Option<Gap>), ErrorBody> {
        let Stage::Active(open) = &mut self.stage else {
            return Err(ErrorBody::new(ErrorCode::Internal, "no session is open"));
        };
        let identity =
            Arc::clone(&open.session.owned_by(&self.mailbox).ok_or_else(no_session)?.login().identity);
        let user = identity.user.as_ref();
        let (channel, stat) = requests.apply_stat(&self.hub, user)?;
        let unseen = || ErrorBody::new(ErrorCode::Internal, "the log state was not loaded");
        let client = Client::in_session(&identity, open.session.id);
        let decision =
            client.decide(self.hub.rules().of(&requests.name), &requests.name, Permission::Subscribe);
        let by_back_end = decision == Decision::Ask;
        if let Some(slot) = open.find_subscription(&requests.name) {
            let subscription = open.subscriptions[slot].as_mut().expect("slot_of() found it");
            let outcome = channel
                .move_subscription(subscription.subscriber, &requests.from, requests.evidence(stat.as_ref()))
                .ok_or_else(unseen)?;
            (subscription.position, subscription.by_back_end) = (outcome.position, by_back_end);
            self.hub.cancel_page(&self.mailbox, slot_number(slot));
            self.mailbox.requeue(slot_number(slot));
            return Ok((outcome.subscribed, outcome.gap));
        }
        let slot = open.free_slot(&requests.name, self.hub.limits().channels_max)?;
        let mut session = open.session.owned_by(&self.mailbox).ok_or_else(no_session)?;
        let who = SubscribeParams {
            mailbox: &self.mailbox,
            slot: slot_number(slot),
            session: open.session.id,
            holder: session.holder(),
            identity: &identity,
            sees_presence: channel.presence != PresenceMode::Off
                && sees_presence(client, self.hub.rules().of(&requests.name), &requests.name),
            wall_ms: now.wall_ms,
            events: self.hub.events_at(now),
        };
        let outcome = channel.subscribe(&who, &requests.from, requests.evidence(stat.as_ref()));
        let (subscriber, presence_seen, outcome, fan_out) = outcome.map_err(|error| match error {
            SubscribeError::NotLoaded => unseen(),
            SubscribeError::RosterFull => ErrorBody::new(
                ErrorCode::Limit,
                "your sessions are members of as many rosters as they may be",
            ),
        })?;
        if channel.presence != PresenceMode::Off {
            session.add_roster(channel);
        }
        session.set_channels(open.subscriptions.iter().flatten().count() + 1);
        drop(session);
        self.hub.count_subscribed(&channel.name, outcome.is_first);
        self.hub.pump_if(fan_out, channel);
        self.mailbox.requeue(slot_number(slot));
        let channel = Arc::clone(channel);
        open.subscriptions[slot] = Some(Subscription {
            channel,
            subscriber,
            by_back_end,
            position: outcome.position,
            presence_seen,
        });
        Ok((outcome.subscribed, outcome.gap))
    }

    /// Records the app's acknowledged positions in channels that keep them.
    pub(super) fn take_acks(&self, acks: &BTreeMap<String, Cursor>) {
        let Stage::Active(open) = &self.stage else { return };
        if acks.is_empty() {
            return;
        }
        let Some(session) = open.session.owned_by(&self.mailbox) else { return };
        let Some(user) = &session.login().identity.user else { return };
        for (name, cursor) in acks {
            // Only channels that this connection reads: permission is checked and the log is in memory.
            let mut subscriptions = open.subscriptions.iter().flatten();
            let Some(found) = subscriptions.find(|found| found.channel.name.as_str() == name) else {
                continue;
            };
            let epoch = found.channel.epoch().filter(|epoch| **epoch == *cursor.epoch);
            if let Some(epoch) = epoch.filter(|_| {
                let keeps = self.hub.rules().of(&found.channel.name).ack;
                keeps && cursor.offset <= found.position.offset
            }) {
                let who = (Some(user), session.holder());
                self.hub.acks().advance(&found.channel.name, who, &epoch, cursor.offset);
            }
        }
    }

    /// Answers an `unsubscribe`.
    pub(super) fn unsubscribe(&mut self, id: RequestId, channel: &ChannelName) {
        if channel.is_user() {
            let error = ErrorBody::new(ErrorCode::PermissionDenied, "an inbox cannot be unsubscribed");
            return self.reply(id, Err::<&(), _>(&error));
        }
        let Stage::Active(open) = &self.stage else { return };
        if let Some(slot) = open.find_subscription(channel) {
            self.end_subscription(slot);
            let now = self.hub.last_now();
            self.tell(now, StoryKind::Unsubscribed, || of_channel(channel, None));
        } else if let Some(mut session) = open.session.owned_by(&self.mailbox) {
            session.change_grants(|grants| grants.end_subscription(channel));
        }
        self.reply(id, Ok(&Empty {}));
    }

    /// Control has ended a subscription.
    pub(super) fn end_by_control(&mut self, channel: &ChannelName, message: String) {
        self.withdraw_permission(channel);
        let Stage::Active(open) = &self.stage else { return };
        if let Some(mut session) = open.session.owned_by(&self.mailbox) {
            // Answers of the back end may have come meanwhile.
            session.change_grants(|grants| grants.end_subscription(channel));
        }
        let Some(slot) = open.find_subscription(channel) else { return };
        self.end_subscription(slot);
        let detail = || serde_json::json!({"channel": channel.as_str(), "message": cut(&message)});
        self.tell(self.hub.last_now(), StoryKind::Unsubscribed, detail);
        let code = ErrorCode::PermissionDenied;
        let unsubscribed = Unsubscribed { channel: channel.to_string(), code, message };
        json::write_server(&mut self.control, "unsubscribed", &unsubscribed);
    }

    /// Ends a subscription, and the permission that the back end gave for its life.
    fn end_subscription(&mut self, slot: usize) {
        let Stage::Active(open) = &mut self.stage else { return };
        let Some(ended) = open.subscriptions[slot].take() else { return };
        let (subscriber, seen) = (ended.subscriber, ended.presence_seen);
        let is_last = ended.channel.remove_subscriber(subscriber, seen, self.hub.events());
        self.hub.count_unsubscribed(&ended.channel.name, is_last);
        self.hub.cancel_page(&self.mailbox, slot_number(slot));
        let Some(mut session) = open.session.owned_by(&self.mailbox) else { return };
        if !session.grants().is_empty() {
            session.change_grants(|grants| grants.end_subscription(&ended.channel.name));
        }
        session.set_channels(open.subscriptions.iter().flatten().count());
        if ended.channel.presence != PresenceMode::Off {
            session.leave_rosters(&self.hub, |channel| !Arc::ptr_eq(channel, &ended.channel));
        }
    }

    /// The back end has denied a new `subscribe` to a channel to which the client may be subscribed.
    pub(super) fn end_denied(&mut self, channel: &ChannelName) {
        let Stage::Active(open) = &self.stage else { return };
        if let Some(mut session) = open.session.owned_by(&self.mailbox) {
            // An earlier `subscribe` may have been permitted while this one was asked about.
            session.change_grants(|grants| grants.withdraw(channel, Permission::Subscribe));
        }
        if let Some(slot) = open.find_subscription(channel) {
            self.end_subscription(slot);
        }
    }

    /// The rules have changed.
    pub(super) fn review_permissions(&mut self) {
        let Stage::Active(open) = &self.stage else { return };
        let owned = open.session.owned_by(&self.mailbox);
        let Some(identity) = owned.map(|session| Arc::clone(&session.login().identity)) else { return };
        self.end_forbidden(&identity, "the rules no longer open this channel to you");
    }

    /// Ends the subscriptions that are not permitted any more.
    pub(super) fn end_forbidden(&mut self, identity: &Identity, reason: &str) {
        let Stage::Active(open) = &self.stage else { return };
        for slot in 0..open.subscriptions.len() {
            let Stage::Active(open) = &self.stage else { return };
            let Some(subscription) = &open.subscriptions[slot] else { continue };
            let channel = &subscription.channel;
            let client = Client::in_session(identity, open.session.id);
            let keeps =
                match client.decide(self.hub.rules().of(&channel.name), &channel.name, Permission::Subscribe)
                {
                    Decision::Allow => true,
                    Decision::Deny => false,
                    // What the back end has permitted, it has permitted to the user, whose login it still is.
                    Decision::Ask => subscription.by_back_end,
                };
            if keeps {
                self.review_presence(slot, identity);
                continue;
            }
            let unsubscribed = Unsubscribed {
                channel: channel.name.to_string(),
                code: ErrorCode::PermissionDenied,
                message: reason.to_owned(),
            };
            self.end_subscription(slot);
            json::write_server(&mut self.control, "unsubscribed", &unsubscribed);
        }
    }

    /// Begins or ends the presence events of a subscription as they are permitted now.
    fn review_presence(&mut self, slot: usize, identity: &Identity) {
        let Stage::Active(open) = &mut self.stage else { return };
        let client = Client::in_session(identity, open.session.id);
        let Some(subscription) = &mut open.subscriptions[slot] else { return };
        let name = &subscription.channel.name;
        let sees = sees_presence(client, self.hub.rules().of(name), name);
        subscription.channel.set_presence_reader(&mut subscription.presence_seen, sees);
    }
}

/// The `ok` of requests that return nothing: `{}`.
#[derive(serde::Serialize)]
struct Empty {}

impl ActiveSession {
    fn find_subscription(&self, name: &ChannelName) -> Option<usize> {
        self.subscriptions
            .iter()
            .position(|slot| slot.as_ref().is_some_and(|found| found.channel.name == *name))
    }

    /// Checks whether there is room for a subscription.
    fn check_room(&self, name: &ChannelName, channels_max: usize) -> Result<(), ErrorBody> {
        if self.subscriptions.iter().flatten().count() < channels_max
            || self.find_subscription(name).is_some()
        {
            return Ok(());
        }
        Err(too_many_channels(channels_max))
    }

    fn free_slot(&mut self, name: &ChannelName, channels_max: usize) -> Result<usize, ErrorBody> {
        self.check_room(name, channels_max)?;
        if let Some(free) = self.subscriptions.iter().position(Option::is_none) {
            return Ok(free);
        }
        if self.subscriptions.len() < 4 {
            // Most connections have very few: do not reserve room for four.
            self.subscriptions.reserve_exact(1);
        }
        self.subscriptions.push(None);
        Ok(self.subscriptions.len() - 1)
    }
}

/// Whether a subscriber is told of presence. The back end is not asked: where it decides about presence by
/// itself, the subscriber may ask for the roster.
fn sees_presence(client: Client<'_>, rule: &ChannelRule, name: &ChannelName) -> bool {
    match client.decide(rule, name, Permission::Presence) {
        Decision::Allow => true,
        Decision::Deny => false,
        Decision::Ask => rule.access(Permission::Presence).1 == Permission::Subscribe,
    }
}

fn slot_number(slot: usize) -> u32 {
    u32::try_from(slot).expect("slots are bounded by channels_max")
}

/// Error for one channel more than a connection may have.
pub(super) fn too_many_channels(channels_max: usize) -> ErrorBody {
    let words = format!("a connection may be subscribed to {channels_max} channels");
    ErrorBody::new(ErrorCode::Limit, words)
}

/// Error for a request whose connection has lost its session.
pub(super) fn no_session() -> ErrorBody {
    ErrorBody::new(ErrorCode::Internal, "this connection no longer has a session")
}

/// Error for a request that needs a permission that the client does not have.
pub(super) fn denied(permission: Permission) -> ErrorBody {
    let words = match permission {
        Permission::Subscribe => "you may not read this channel",
        Permission::Publish => "you may not publish in this channel",
        Permission::History => "you may not read the history of this channel",
        Permission::Presence => "you may not see who is in this channel",
    };
    ErrorBody::new(ErrorCode::PermissionDenied, words)
}

pub(super) fn parse_channel(name: &str) -> Result<ChannelName, ErrorBody> {
    ChannelName::parse(name).map_err(|invalid| ErrorBody::new(ErrorCode::BadRequest, invalid.to_string()))
}
