//! Requests of a welcomed client and their replies (protocol, section 4).
//!
//! Start at [`Peer::handle_request`].

use std::sync::Arc;

use tautline_engine::{Content, Doubt, Origin, budget::Claimant};
use tautline_protocol::{
    ByeCode, ChannelName, ErrorCode, Now, RequestId, json,
    packet::{
        Auth, ErrorBody, Request,
        client::{Call, Publish},
        server::{AuthRefreshed, Bye},
    },
    server::Verdict,
};

use super::{
    Peer,
    action::{ActionKind, ChannelAction, PageRequest},
    attach::{ticket_due_ms, until},
    output::{CallRequest, Output, ReplyTo, settle_line},
    stage::{Refreshing, Requester, Stage},
    subscriptions::parse_channel,
};
use crate::{
    append::NewPublication,
    questions::LoginResult,
    revoke::bye_revoked,
    session::id::CallKey,
    story::{StoryKind, cut},
    tags::with_exclude,
};

/// Bytes that a running call counts in addition to its data.
const CALL_BYTES: usize = 1024;

impl Peer {
    pub(super) fn handle_request(&mut self, now: Now, id: RequestId, again: bool, request: Request<'_>) {
        if request.at_most_once() {
            return self.handle_once(now, id, again, request);
        }
        if let Err(error) = self.charge_request(now, false) {
            self.reply(id, Err::<&(), _>(&error));
            return self.close_if_flooding(now, &error);
        }
        let Stage::Active(open) = &self.stage else { return };
        let Some(mut session) = open.session.owned_by(&self.mailbox) else {
            return self.close_superseded(now);
        };
        if !session.receive_repeatable(id) {
            return;
        }
        let asked_by = Requester::of(&session);
        drop(session);
        let action = match request {
            Request::Subscribe(body) => {
                (body.channel, ActionKind::Subscribe { from: body.from, is_granted: false })
            }
            Request::Unsubscribe(body) => (body.channel, ActionKind::Unsubscribe),
            Request::History(body) => {
                let page = PageRequest::of(&body);
                (body.channel, ActionKind::History(page))
            }
            Request::Presence(body) => (body.channel, ActionKind::Presence),
            Request::Auth(auth) => return self.refresh(id, auth),
            Request::Publish(_) | Request::Call(_) => unreachable!("handled above"),
        };
        match parse_channel(&action.0) {
            Ok(channel) => self.run_permitted(now, ChannelAction { id, channel, asked_by, kind: action.1 }),
            Err(error) => self.reply(id, Err::<&(), _>(&error)),
        }
    }

    /// Has the login of an `auth` request checked; until then no input is read.
    fn refresh(&mut self, id: RequestId, auth: Auth) {
        let Stage::Active(open) = &self.stage else { return };
        let session = open.session.owned_by(&self.mailbox);
        let known = session.map(|session| (session.client(&self.hub), Arc::clone(&session.login().identity)));
        let (client, identity) = known.unzip();
        let key = CallKey { session: open.session.id, id };
        let is_code = matches!(auth, Auth::Code { .. });
        let question = self.authenticate(auth, client.flatten(), identity.map(|identity| (key, identity)));
        self.rare.get_or_insert_default().refreshing = Some(Refreshing { id, question, is_code });
    }

    /// `publish` and `call`: a request that the ledger has answered is not executed again.
    fn handle_once(&mut self, now: Now, id: RequestId, again: bool, request: Request<'_>) {
        let Stage::Active(open) = &self.stage else { return };
        self.hub.reclaim_replies();
        let Some(mut session) = open.session.owned_by(&self.mailbox) else {
            return self.close_superseded(now);
        };
        let verdict = session.receive(&self.hub, &self.mailbox, id, again);
        // The permissions at this moment apply.
        let asked_by = Requester::of(&session);
        drop(session);
        let is_new = open.is_new;
        if matches!(verdict, Verdict::Execute | Verdict::InDoubt)
            && let Err(error) = self.charge_request(now, matches!(request, Request::Publish(_)))
        {
            let in_doubt = verdict == Verdict::InDoubt || (again && is_new);
            return self.refuse_once(now, id, in_doubt, &error);
        }
        match (verdict, request) {
            (Verdict::Execute | Verdict::InDoubt, _) if again && is_new => {
                let words = "sent before this session began: it may have been executed in the previous one";
                self.settle(id, Err::<&(), _>(&ErrorBody::new(ErrorCode::InDoubt, words)));
            }
            (Verdict::Execute, Request::Call(call)) => self.call(now, id, call, &asked_by),
            // Under its earlier key, so the method's implementation can detect the repetition.
            (Verdict::InDoubt, Request::Call(call)) if self.hub.is_idempotent(&call.method) => {
                self.call(now, id, call, &asked_by)
            }
            (Verdict::InDoubt, Request::Call(_)) => {
                let words = "the node that received this call is gone: it may have been executed";
                self.settle(id, Err::<&(), _>(&ErrorBody::new(ErrorCode::InDoubt, words)));
            }
            (Verdict::Execute, Request::Publish(publish)) => self.publish(now, id, &publish, asked_by, false),
            (Verdict::InDoubt, Request::Publish(publish)) => self.publish(now, id, &publish, asked_by, true),
            (Verdict::Replay(reply), _) => self.control.extend_from_slice(&reply),
            (Verdict::SlowPeer, _) => {
                let words = "too many replies are unseen: send `seen`";
                self.close_with_bye(now, None, Bye::new(ByeCode::SlowPeer, words));
            }
            (Verdict::Wait | Verdict::Ignore, _) => {}
            (Verdict::Execute | Verdict::InDoubt, _) => {
                unreachable!("only publish and call are handled here")
            }
        }
    }

    /// Refuses a request that is executed at most once. One in doubt stays so: it may have been executed before.
    fn refuse_once(&mut self, now: Now, id: RequestId, in_doubt: bool, error: &ErrorBody) {
        let code = if in_doubt { ErrorCode::InDoubt } else { error.code.clone() };
        self.settle(id, Err::<&(), _>(&ErrorBody { code, ..error.clone() }));
        self.close_if_flooding(now, error);
    }

    fn call(&mut self, now: Now, id: RequestId, call: Call<'_>, asked_by: &Requester) {
        let bytes = CALL_BYTES + call.method.len() + call.data.map_or(0, |data| data.get().len());
        let Some(claim) = self.hub.0.budgets.calls.claim(asked_by.holder, bytes, Claimant::Ordinary) else {
            let busy =
                ErrorBody::new(ErrorCode::Overloaded, "more calls are running than this node has room for");
            let busy = ErrorBody { retry_after_ms: Some(1_000), ..busy };
            return self.settle(id, Err::<&(), _>(&busy));
        };
        let Stage::Active(open) = &self.stage else { return };
        let session = open.session.owned_by(&self.mailbox);
        let client = session.and_then(|session| session.client(&self.hub));
        let longest = self.hub.limits().call_ms_max;
        let request = CallRequest {
            reply_to: ReplyTo {
                hub: self.hub.clone(),
                session: Arc::clone(&open.session),
                id,
                settled: false,
                told: self.hub.keeps_stories().then(|| (cut(&call.method).into(), now.mono_ms)),
                _claim: claim,
            },
            holder: asked_by.holder,
            method: call.method.into_owned(),
            data: call.data.map_or_else(|| serde_json::value::RawValue::NULL.to_owned(), ToOwned::to_owned),
            timeout_ms: call.timeout_ms.map_or(longest, |requests| requests.min(longest)),
            identity: Arc::clone(&asked_by.identity),
            client,
            key: CallKey { session: open.session.id, id },
        };
        self.queue_output(Output::Call(request));
    }

    fn publish(&mut self, now: Now, id: RequestId, body: &Publish<'_>, asked_by: Requester, in_doubt: bool) {
        let echo = body.echo.unwrap_or(true);
        let kind = ActionKind::Publish { data: body.data.get().into(), tags: None, echo, in_doubt };
        match parse_channel(&body.channel) {
            Ok(channel) => self.run_permitted(now, ChannelAction { id, channel, asked_by, kind }),
            Err(error) => self.settle(id, Err::<&(), _>(&error)),
        }
    }

    /// Appends a permitted publication.
    pub(super) fn append(
        &mut self,
        now: Now,
        id: RequestId,
        channel: ChannelName,
        (data, tags, echo): (Box<str>, Option<Box<str>>, bool),
        Requester { identity, holder, incarnation }: &Requester,
        in_doubt: bool,
    ) {
        let Stage::Active(open) = &self.stage else { return };
        let tags =
            if echo { tags } else { Some(with_exclude(tags.as_deref(), &open.session.id.to_string())) };
        let content = Content { data, from: identity.user.clone(), tags };
        let origin = Some(Origin::Request { session: open.session.id.0, id });
        let doubt = in_doubt.then_some(Doubt { session_incarnation: *incarnation });
        let trace = Some(CallKey { session: open.session.id, id }.trace_id());
        let new = NewPublication { channel, content, origin, doubt, expect: None, holder: *holder, trace };
        let (hub, session, mailbox) =
            (self.hub.clone(), Arc::clone(&open.session), Arc::clone(&self.mailbox));
        self.rare.get_or_insert_default().engine_jobs += 1;
        self.hub.append(now, new, move |result| {
            // "Not executed" holds for this attempt only: an earlier attempt may have executed it.
            let result = result.map_err(|error| match in_doubt {
                true => ErrorBody::new(ErrorCode::InDoubt, error.message),
                false => error,
            });
            hub.0.counters.count_refused(result.as_ref().err());
            let mut line = Vec::new();
            json::write_reply(&mut line, id, result.as_ref());
            settle_line(&hub, &session, id, &line);
            mailbox.complete(&[]);
        });
    }

    /// Answers a `presence`.
    pub(super) fn list_members(&mut self, id: RequestId, channel: &ChannelName) {
        let limits = self.hub.limits();
        let (members_max, bytes_max) = (limits.presence_members_max, limits.history_page_bytes_max);
        let open = self.hub.find_channel(channel);
        let roster = open
            .and_then(|channel| channel.roster(members_max, bytes_max))
            .ok_or_else(|| ErrorBody::new(ErrorCode::NotFound, "this channel has no roster"));
        self.reply(id, roster.as_ref());
    }

    /// Continues an `auth` request whose login was checked.
    pub(super) fn finish_refresh(&mut self, now: Now, asked: &Refreshing, result: LoginResult) {
        let id = asked.id;
        let Stage::Active(open) = &mut self.stage else { return };
        let Some(mut session) = open.session.owned_by(&self.mailbox) else {
            return self.close_superseded(now);
        };
        let login = match self.hub.accept_login(now, result, asked.is_code) {
            Ok(login) if login.identity.user == session.login().identity.user => Ok(login),
            Ok(_) => Err((ErrorBody::new(ErrorCode::PermissionDenied, "the login is another user's"), None)),
            Err(refused) => Err((refused.to_body(|| self.hub.retry_after_ms()), refused.into_disconnect())),
        };
        self.hub.tell(now, Some(session.id()), &session.login().identity, StoryKind::Login, || {
            let code = login.as_ref().map_or_else(|(error, _)| error.code.as_str(), |_| "ok");
            serde_json::json!({"outcome": cut(code)})
        });
        let login = match login {
            Ok(login) => login,
            Err((error, disconnect)) => {
                drop(session);
                self.reply(id, Err::<&(), _>(&error));
                disconnect.iter().for_each(|disconnect| self.disconnect(now, disconnect));
                return;
            }
        };
        session.set_login(login.clone());
        let incarnation = session.incarnation();
        drop(session);
        let (ticket, ticket_expires_at) = self.hub.seal_ticket(now, open.session.id, incarnation, &login);
        let expires_at = login.expires_at;
        open.auth_until_ms = until(now, expires_at);
        open.ticket_due_ms = ticket_due_ms(now, ticket_expires_at, &login);
        self.reply(id, Ok(&AuthRefreshed { expires_at, ticket }));
        if self.hub.is_revoked(&login.identity) {
            // Revoked after it was checked.
            return self.close_with_bye(now, None, bye_revoked());
        }
        self.end_forbidden(&login.identity, "the new login does not open this channel");
    }

    /// Answers an idempotent request.
    pub(super) fn reply(&mut self, id: RequestId, result: Result<&impl serde::Serialize, &ErrorBody>) {
        self.hub.0.counters.count_refused(result.err());
        json::write_reply(&mut self.control, id, result);
    }

    /// Answers a request that is executed once: the session keeps the reply until the client has seen it.
    pub(super) fn settle(&mut self, id: RequestId, result: Result<&impl serde::Serialize, &ErrorBody>) {
        let Stage::Active(open) = &self.stage else { return };
        self.hub.0.counters.count_refused(result.err());
        let from = self.control.len();
        json::write_reply(&mut self.control, id, result);
        match open.session.owned_by(&self.mailbox) {
            Some(mut session) => session.settle_here(&self.hub, id, (&mut self.control, from)),
            // Another connection took the session over concurrently: the reply is kept for it.
            None => settle_line(&self.hub, &open.session, id, &self.control.split_off(from)),
        }
    }
}
