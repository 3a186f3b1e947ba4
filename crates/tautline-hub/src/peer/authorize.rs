//! Permissions of requests: the channel's rule answers first, and some rules leave the answer to the app's back
//! end.
//!
//! Start at [`Peer::run_permitted`]. A request that waits for the back end holds up later requests to the same
//! channel, so that these take effect in the order sent; everything else goes on.

use std::sync::Arc;

use serde_json::value::RawValue;
use tautline_protocol::{
    ChannelName, ErrorCode, Now, ReadFrom, RequestId, json::is_too_deep, packet::ErrorBody,
};

use super::{
    Peer,
    action::{ActionKind, ChannelAction, HeldAction, HeldState},
    output::{Output, settle},
    stage::{ActiveSession, Requester, Stage},
    subscriptions::denied,
};
use crate::{
    CallKey, Client, Decision, Permission,
    questions::{Authorization, AuthorizeQuestion, Disconnect, QuestionAnswer, Reply, skipped},
};

impl Peer {
    /// Runs a request to a channel: at once if the rule permits it, or later if only the back end can tell.
    pub(super) fn run_permitted(&mut self, now: Now, action: ChannelAction) {
        let permission = action.kind.permission();
        let decide = |needed| self.decide(now, &action.channel, needed, &action.asked_by);
        match (permission.map_or(Decision::Allow, decide), permission) {
            (Decision::Allow, _) | (_, None) if !self.holds_back(&action.channel) => self.run(now, action),
            (Decision::Allow, _) | (_, None) => {
                self.hold(action, HeldState::Decided(Ok(())));
            }
            (Decision::Deny, Some(permission)) => self.refuse(&action, &denied(permission)),
            (Decision::Ask, Some(permission)) => self.ask_back_end(action, permission),
        }
    }

    /// What the channel's rule says of a permission, or the back end has said a while ago.
    pub(super) fn decide(
        &self,
        now: Now,
        channel: &ChannelName,
        permission: Permission,
        asked_by: &Requester,
    ) -> Decision {
        let Stage::Active(open) = &self.stage else { return Decision::Deny };
        let client = Client::in_session(&asked_by.identity, open.session.id);
        let rules = self.hub.rules();
        let rule = rules.of(channel);
        match client.decide(rule, channel, permission) {
            Decision::Ask if self.was_granted(now, channel, rule.access(permission).1) => Decision::Allow,
            decision => decision,
        }
    }

    fn was_granted(&self, now: Now, channel: &ChannelName, permission: Permission) -> bool {
        let Stage::Active(open) = &self.stage else { return false };
        let session = open.session.owned_by(&self.mailbox);
        session.is_some_and(|session| session.grants().allows(now.mono_ms, channel, permission))
    }

    /// True while an earlier request to the channel waits.
    fn holds_back(&self, channel: &ChannelName) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.held.iter().any(|held| held.action.channel == *channel))
    }

    /// True while so many requests wait that the next one is not read.
    pub(super) fn is_full_of_held(&self) -> bool {
        let count_max = self.hub.limits().questions_connection_max;
        self.rare.as_ref().is_some_and(|rare| rare.held.len() >= count_max)
    }

    fn ask_back_end(&mut self, action: ChannelAction, permission: Permission) {
        let Stage::Active(open) = &self.stage else { return };
        // History and presence are asked for as `subscribe` where the rule has no word of their own for them.
        let permission = self.hub.rules().of(&action.channel).access(permission).1;
        let number = self.hub.next_question();
        let session = open.session.owned_by(&self.mailbox);
        let question = AuthorizeQuestion {
            identity: Arc::clone(&action.asked_by.identity),
            channel: action.channel.clone(),
            permission,
            data: match &action.kind {
                ActionKind::Publish { data, .. } => RawValue::from_string(data.to_string()).ok(),
                _ => None,
            },
            address: None,
            client: session.and_then(|session| session.client(&self.hub)),
            holder: action.asked_by.holder,
            key: CallKey { session: open.session.id, id: action.id },
        };
        let mailbox = Arc::clone(&self.mailbox);
        let deliver = move |answer| mailbox.deliver_answer(number, QuestionAnswer::Authorization(answer));
        if self.hold(action, HeldState::Asked(number, permission)) {
            self.queue_output(Output::Authorize(question, Reply::to_authorization(deliver)));
        }
    }

    /// Asks the back end about a `subscribe` whose permission was taken back while the engine looked up its channel.
    pub(super) fn ask_again(&mut self, id: RequestId, channel: ChannelName, from: ReadFrom) {
        let Stage::Active(open) = &self.stage else { return };
        let session = open.session.owned_by(&self.mailbox);
        let Some(asked_by) = session.map(|session| Requester::of(&session)) else { return };
        let kind = ActionKind::Subscribe { from, is_granted: false };
        self.ask_back_end(ChannelAction { id, channel, asked_by, kind }, Permission::Subscribe);
        if let Some(rare) = &mut self.rare {
            // It was sent before the requests that wait already.
            rare.held.rotate_right(1);
        }
    }

    /// Takes back what the back end has permitted to `subscribe` requests that have not taken effect.
    pub(super) fn withdraw_permission(&mut self, channel: &ChannelName) {
        let Some(rare) = &mut self.rare else { return };
        if let Some(pending) = rare.subscribing.as_mut().filter(|pending| pending.lookups.includes(channel)) {
            pending.is_granted = false;
        }
        for held in rare.held.iter_mut().filter(|held| held.action.channel == *channel) {
            if let ActionKind::Subscribe { is_granted, .. } = &mut held.action.kind {
                *is_granted = false;
            }
        }
    }

    /// Holds a request. False: there is no room for its publication, and it is refused.
    fn hold(&mut self, action: ChannelAction, state: HeldState) -> bool {
        let mut claim = None;
        if let ActionKind::Publish { data, .. } = &action.kind {
            let holder = action.asked_by.holder;
            claim = self.hub.0.budgets.appends.claim(holder, data.len(), holder.claimant());
            if claim.is_none() {
                let busy =
                    ErrorBody::new(ErrorCode::Overloaded, "more publications wait than this node can hold");
                self.refuse(&action, &ErrorBody { retry_after_ms: Some(1_000), ..busy });
                return false;
            }
        }
        self.rare.get_or_insert_default().held.push(HeldAction { action, state, claim });
        true
    }

    /// Takes the back end's answer. One that is no longer awaited is ignored.
    pub(super) fn take_authorization(&mut self, now: Now, number: u64, answer: Authorization) {
        let Some(rare) = &mut self.rare else { return };
        let asked = rare.held.iter_mut().find_map(|held| match held.state {
            HeldState::Asked(asked, permission) if asked == number => Some((held, permission)),
            _ => None,
        });
        let Some((held, permission)) = asked else { return };
        let valid_ms = match answer {
            Authorization::Allow { valid_ms } => valid_ms,
            Authorization::Rewrite { data, tags } => {
                let bytes_max = self.hub.limits().message_bytes_max;
                held.state = HeldState::Decided(rewrite(&mut held.action.kind, data, tags, bytes_max));
                return;
            }
            Authorization::Skip => {
                let is_publish = matches!(held.action.kind, ActionKind::Publish { .. });
                held.state = if is_publish { HeldState::Skipped } else { HeldState::Decided(Err(unfit())) };
                return;
            }
            Authorization::Disconnect(disconnect) => {
                return self.refuse_and_disconnect(now, number, &disconnect);
            }
            Authorization::Deny { code, message } => {
                held.state = HeldState::Decided(Err(ErrorBody::new(code, message)));
                return;
            }
            Authorization::Unavailable { message, retry_after_ms } => {
                let retry_after_ms = retry_after_ms.or_else(|| Some(self.hub.retry_after_ms()));
                let error = ErrorBody::new(ErrorCode::Unavailable, message);
                held.state = HeldState::Decided(Err(ErrorBody { retry_after_ms, ..error }));
                return;
            }
        };
        held.state = HeldState::Decided(Ok(()));
        if let ActionKind::Subscribe { is_granted, .. } = &mut held.action.kind {
            *is_granted = true;
        }
        let is_for_life = matches!(held.action.kind, ActionKind::Subscribe { .. }) && valid_ms.is_none();
        let until_ms = if is_for_life { u64::MAX } else { now.mono_ms.saturating_add(valid_ms.unwrap_or(0)) };
        let Stage::Active(open) = &self.stage else { return };
        if let Some(mut session) = open.session.owned_by(&self.mailbox) {
            let (what, count_max) =
                ((&held.action.channel, permission), self.hub.limits().grants_session_max);
            session.change_grants(|grants| grants.grant(now.mono_ms, what, until_ms, count_max));
        }
    }

    /// Runs the first held request that is decided and waits for nothing else. False: there is none.
    pub(super) fn run_held(&mut self, now: Now) -> bool {
        let Some(rare) = &mut self.rare else { return false };
        let (jobs, is_subscribing) = (rare.engine_jobs, rare.subscribing.is_some());
        let is_first = |at: usize| {
            let channel = &rare.held[at].action.channel;
            !rare.held[..at].iter().any(|earlier| earlier.action.channel == *channel)
        };
        let is_ready = |at: &usize| match (&rare.held[*at].state, &rare.held[*at].action.kind) {
            (HeldState::Asked(..), _) => false,
            (HeldState::Decided(Err(_)) | HeldState::Skipped, _) => true,
            // These see earlier publications.
            (_, ActionKind::Subscribe { .. }) => jobs == 0 && !is_subscribing,
            (_, ActionKind::History(_)) => jobs == 0 && !is_subscribing,
            // As for input that is not held: a `subscribe` takes effect before what follows it.
            (_, ActionKind::Unsubscribe | ActionKind::Presence | ActionKind::Publish { .. }) => {
                !is_subscribing
            }
        };
        let Some(at) = (0..rare.held.len()).find(|at| is_ready(at) && is_first(*at)) else { return false };
        let HeldAction { action, state, claim } = rare.held.remove(at);
        self.rare.take_if(|rare| rare.is_empty());
        drop(claim);
        match state {
            HeldState::Decided(Err(error)) => self.refuse_held(&action, &error),
            HeldState::Decided(Ok(())) => self.run(now, action),
            HeldState::Skipped => self.settle(action.id, Ok(&skipped(now))),
            HeldState::Asked(..) => unreachable!("is_ready() leaves out what is asked"),
        }
        true
    }

    fn run(&mut self, now: Now, action: ChannelAction) {
        let ChannelAction { id, channel, asked_by, kind } = action;
        match kind {
            ActionKind::Subscribe { from, is_granted } => {
                self.begin_subscribe(now, id, channel, (from, is_granted), &asked_by)
            }
            ActionKind::Unsubscribe => self.unsubscribe(id, &channel),
            ActionKind::History(page) => self.read_history(now, id, channel, page, asked_by.holder),
            ActionKind::Presence => self.list_members(id, &channel),
            ActionKind::Publish { data, tags, echo, in_doubt } => {
                self.append(now, id, channel, (data, tags, echo), &asked_by, in_doubt)
            }
        }
    }

    /// Refuses a request on behalf of the back end. A `subscribe` that it denies ends the subscription that the client
    /// has, too: the client hears that it has none.
    fn refuse_held(&mut self, action: &ChannelAction, error: &ErrorBody) {
        if matches!(action.kind, ActionKind::Subscribe { .. }) && error.code != ErrorCode::Unavailable {
            self.end_denied(&action.channel);
        }
        self.refuse(action, error);
    }

    /// Refuses a request that was not executed now. The back end may have permitted an earlier attempt.
    fn refuse(&mut self, action: &ChannelAction, error: &ErrorBody) {
        self.tell_refusal(self.hub.last_now(), action, error);
        if matches!(action.kind, ActionKind::Publish { in_doubt: true, .. }) {
            let error = ErrorBody::new(ErrorCode::InDoubt, error.message.clone());
            return self.answer_error(action, &error);
        }
        self.answer_error(action, error);
    }

    fn answer_error(&mut self, action: &ChannelAction, error: &ErrorBody) {
        match action.kind {
            ActionKind::Publish { .. } => self.settle(action.id, Err::<&(), _>(error)),
            _ => self.reply(action.id, Err::<&(), _>(error)),
        }
    }

    /// The back end ends the connection. The request is settled first: a client that comes back does not send it again.
    fn refuse_and_disconnect(&mut self, now: Now, number: u64, disconnect: &Disconnect) {
        let Some(rare) = &mut self.rare else { return };
        let is_asked =
            |held: &HeldAction| matches!(held.state, HeldState::Asked(asked, _) if asked == number);
        let Some(at) = rare.held.iter().position(is_asked) else { return };
        let HeldAction { action, .. } = rare.held.remove(at);
        self.rare.take_if(|rare| rare.is_empty());
        let error = ErrorBody::new(ErrorCode::PermissionDenied, disconnect.message.clone());
        self.refuse_held(&action, &error);
        self.disconnect(now, disconnect);
    }

    /// The back end ends the connection.
    pub(super) fn disconnect(&self, now: Now, disconnect: &Disconnect) {
        let Stage::Active(open) = &self.stage else { return };
        self.hub.clone().on_disconnect(now, &open.session.id.to_string(), disconnect);
    }

    /// The connection ends: publications that wait were not executed, so the client may send them again. Where
    /// a newer connection of the session waits for the reply already, it is told.
    pub(super) fn drop_held(&mut self, open: &ActiveSession) {
        let held = self.rare.as_mut().map(|rare| std::mem::take(&mut rare.held)).unwrap_or_default();
        for HeldAction { action, .. } in held {
            let ActionKind::Publish { in_doubt, .. } = action.kind else { continue };
            let (id, connection) = (action.id, self.mailbox.connection);
            let is_over =
                open.session.live().is_none_or(|mut live| live.take_back(&self.hub, id, connection));
            if !is_over {
                let code = if in_doubt { ErrorCode::InDoubt } else { ErrorCode::Unavailable };
                let error = ErrorBody::new(code, "the connection was lost before the back end had answered");
                let retry_after_ms = (!in_doubt).then(|| self.hub.retry_after_ms());
                settle(&self.hub, &open.session, id, Err(&ErrorBody { retry_after_ms, ..error }));
            }
        }
    }
}

/// Puts the back end's publication in the place of the client's.
fn rewrite(
    kind: &mut ActionKind,
    new_data: Option<Box<RawValue>>,
    new_tags: Option<Box<RawValue>>,
    bytes_max: usize,
) -> Result<(), ErrorBody> {
    let ActionKind::Publish { data, tags, .. } = kind else { return Err(unfit()) };
    let parts = [&new_data, &new_tags].map(|part| part.as_ref().map_or("", |part| part.get()));
    if parts.iter().map(|part| part.len()).sum::<usize>() > bytes_max {
        return Err(ErrorBody::new(ErrorCode::TooLarge, "the back end's publication is too large"));
    }
    if parts.iter().any(|part| is_too_deep(part)) || !(parts[1].is_empty() || parts[1].starts_with('{')) {
        return Err(unfit());
    }
    if let Some(new) = new_data {
        *data = new.get().into();
    }
    *tags = new_tags.map(|new| new.get().into());
    Ok(())
}

fn unfit() -> ErrorBody {
    ErrorBody::new(ErrorCode::Internal, "the back end's answer does not fit the request")
}
