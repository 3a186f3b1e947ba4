//! Operations on sessions, subscriptions and logins.

use std::borrow::Cow;

use axum::Json;
use serde::{Deserialize, Deserializer, Serialize};
use tautline_hub::{Ban, BanSubject, RevokeLogins, Target};
use utoipa::ToSchema;

use crate::{
    names::{Address, Channel, Message, Reason, Session, User, WallMs},
    objects::object,
    problem::Problem,
    publishing::answer,
    request::{Posted, ToAdmin},
};

/// The end of a ban that does not end by itself.
const FOREVER: u64 = i64::MAX.unsigned_abs();

/// The sessions that an operation is about.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Sessions {
    /// All sessions of a user.
    User(User),
    /// One session.
    Session(Session),
    /// All sessions whose login has this label.
    #[serde(deserialize_with = "object")]
    Label(Label),
}

/// A label of a login.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Label {
    /// The label's name.
    #[schema(example = "team")]
    name: String,
    /// The label's value.
    #[schema(example = "kitchen")]
    value: String,
}

/// Ends sessions.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kick {
    target: Sessions,
    /// For the people behind the clients.
    message: Option<Message>,
}

/// Closes connections.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Disconnect {
    target: Sessions,
}

/// Subscribes sessions.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Subscribe {
    target: Sessions,
    /// No inbox.
    channel: Channel,
}

/// Keeps a user or an address out.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewBan {
    subject: Subject,
    /// When the ban ends; without it, it does not end by itself.
    until: Option<WallMs>,
    reason: Option<Reason>,
}

/// Lets a user or an address in again.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Unban {
    subject: Subject,
}

/// A user or an address.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Subject {
    /// A user, wherever it comes from.
    User(User),
    /// An address, whoever comes from there.
    Address(Address),
}

/// Forgets a user.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Forget {
    user: User,
}

/// Whether something was banned.
#[derive(Serialize, ToSchema)]
pub(crate) struct Lifted {
    was_banned: bool,
}

/// Ends subscriptions.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Unsubscribe {
    target: Sessions,
    /// No inbox.
    channel: Channel,
    /// For the people behind the clients.
    message: Option<Message>,
}

/// Revokes logins: of a session, of a user, or by a token.
#[derive(ToSchema)]
#[schema(as = Revoke)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes the forms of `Revoke`")]
enum RevokeForms {
    /// The login of one session.
    Session(RevokeSession),
    /// The logins of a user.
    User(RevokeUser),
    /// Logins by one token.
    Token(RevokeToken),
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes a form of `Revoke`")]
struct RevokeSession {
    session: Session,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes a form of `Revoke`")]
struct RevokeUser {
    user: User,
    /// Those that were issued before this moment; without it, up to now.
    issued_before: Option<WallMs>,
    /// When the last of them would expire; without it, the revocation is kept for good.
    until: Option<WallMs>,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes a form of `Revoke`")]
struct RevokeToken {
    /// The token's id (`jti`).
    token: String,
    /// When the last of them would expire; without it, the revocation is kept for good.
    until: Option<WallMs>,
}

/// All forms at once, so that a refusal points at the member at fault.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Revoke<'a> {
    #[serde(default, deserialize_with = "some")]
    session: Option<Session>,
    #[serde(default, deserialize_with = "some")]
    user: Option<User>,
    #[serde(borrow, default, deserialize_with = "some_text")]
    token: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "optional")]
    issued_before: Option<Option<WallMs>>,
    #[serde(default, deserialize_with = "optional")]
    until: Option<Option<WallMs>>,
}

/// The effect of an operation.
#[derive(Serialize, ToSchema)]
pub(crate) struct Affected {
    /// Sessions on this node that it was about. Other nodes on the same Redis follow, and are not counted.
    sessions: usize,
}

/// Ends sessions
///
/// Their clients get `bye{kicked}`, and their tickets are void.
#[utoipa::path(post, path = "/api/v1/kick", tag = "admin", request_body = Kick,
    responses((status = 200, description = "The sessions ended", body = Affected)))]
pub(crate) async fn kick(request: Posted<ToAdmin>) -> Result<Json<Affected>, Problem> {
    let Kick { target, message } = request.parse()?;
    let (host, message) = (&request.host, message.unwrap_or_default());
    let sessions = host.hub().control().kick(host.now(), target.into(), message.0);
    Ok(Json(Affected { sessions }))
}

/// Closes connections
///
/// The clients come back and lose nothing.
#[utoipa::path(post, path = "/api/v1/disconnect", tag = "admin", request_body = Disconnect,
    responses((status = 200, description = "The connections are closed", body = Affected)))]
pub(crate) async fn disconnect(request: Posted<ToAdmin>) -> Result<Json<Affected>, Problem> {
    let Disconnect { target } = request.parse()?;
    let host = &request.host;
    Ok(Json(Affected { sessions: host.hub().control().disconnect(host.now(), target.into()) }))
}

/// Subscribes sessions to a channel
///
/// As if their logins said so. Those that are connected come back at once, and their welcome names the channel.
#[utoipa::path(post, path = "/api/v1/subscribe", tag = "admin", request_body = Subscribe,
    responses((status = 200, description = "The sessions that were not subscribed before", body = Affected)))]
pub(crate) async fn subscribe(request: Posted<ToAdmin>) -> Result<Json<Affected>, Problem> {
    let Subscribe { target, channel } = request.parse()?;
    let host = &request.host;
    let sessions = host.hub().control().subscribe(host.now(), target.into(), channel.0)?;
    Ok(Json(Affected { sessions }))
}

/// Keeps a user or an address out
///
/// The sessions of a user end, and the connections from an address are closed, with `bye{banned}`; new ones are refused.
#[utoipa::path(post, path = "/api/v1/ban", tag = "admin", request_body = NewBan,
    responses((status = 200, description = "The ban is saved", body = Affected)))]
pub(crate) async fn ban(request: Posted<ToAdmin>) -> Result<Json<Affected>, Problem> {
    let NewBan { subject, until, reason } = request.parse()?;
    let (host, until) = (&request.host, until.map_or(FOREVER, |until| until.0));
    let ban = Ban { subject: subject.into(), until, reason: reason.unwrap_or_default().0 };
    let (done, concerned) = answer();
    host.hub().control().ban(host.now(), ban, done);
    Ok(Json(Affected { sessions: concerned.await? }))
}

/// Lets a user or an address in again
///
/// Before its ban ends by itself.
#[utoipa::path(post, path = "/api/v1/unban", tag = "admin", request_body = Unban,
    responses((status = 200, description = "The ban is lifted, if there was one", body = Lifted)))]
pub(crate) async fn unban(request: Posted<ToAdmin>) -> Result<Json<Lifted>, Problem> {
    let Unban { subject } = request.parse()?;
    let (done, lifted) = answer();
    request.host.hub().control().lift_ban(subject.into(), done);
    Ok(Json(Lifted { was_banned: lifted.await? }))
}

/// Forgets a user
///
/// Its sessions end, its inbox is emptied, its acknowledged positions and the moment when it was last seen are forgotten.
/// What remains: its publications in other channels, with its id in `from`, and a ban.
#[utoipa::path(post, path = "/api/v1/forget", tag = "admin", request_body = Forget,
    responses((status = 200, description = "The user is forgotten", body = Affected)))]
pub(crate) async fn forget(request: Posted<ToAdmin>) -> Result<Json<Affected>, Problem> {
    let Forget { user } = request.parse()?;
    let host = &request.host;
    let (done, ended) = answer();
    host.hub().control().forget_user(host.now(), &user.0, done);
    Ok(Json(Affected { sessions: ended.await? }))
}

/// Ends subscriptions to a channel
///
/// The clients get `unsubscribed`. Acknowledged positions are kept, and a client may subscribe again as far as it is
/// permitted to.
#[utoipa::path(post, path = "/api/v1/unsubscribe", tag = "admin", request_body = Unsubscribe,
    responses((status = 200, description = "The subscriptions ended", body = Affected)))]
pub(crate) async fn unsubscribe(request: Posted<ToAdmin>) -> Result<Json<Affected>, Problem> {
    let Unsubscribe { target, channel, message } = request.parse()?;
    let (host, message) = (&request.host, message.unwrap_or_default());
    let control = host.hub().control();
    let sessions = control.unsubscribe(host.now(), target.into(), channel.0, message.0);
    Ok(Json(Affected { sessions }))
}

/// Revokes logins
///
/// Their sessions end at once, and no ticket or token brings them back.
#[utoipa::path(post, path = "/api/v1/revoke", tag = "admin", request_body = inline(RevokeForms),
    responses((status = 200, description = "The logins are revoked", body = Affected)))]
pub(crate) async fn revoke(request: Posted<ToAdmin>) -> Result<Json<Affected>, Problem> {
    const FORM: &str = "the body is {session}, {user, issued_before?, until?} or {token, until?}";
    let Revoke { session, user, token, issued_before, until } = request.parse()?;
    let logins = match (session, user, token, issued_before, until) {
        (Some(session), None, None, None, None) => RevokeLogins::Session(session.0),
        (None, Some(user), None, before, _) => {
            RevokeLogins::User { user: user.0, issued_before_ms: before.flatten().map(|before| before.0) }
        }
        (None, None, Some(token), None, _) => RevokeLogins::Token(token.into_owned()),
        _ => return Err(Problem::bad_request(FORM)),
    };
    let (host, until) = (&request.host, until.flatten().map(|until| until.0));
    let (done, revoked) = answer();
    host.hub().revoke(host.now(), &logins, until, done);
    let revoked = revoked.await?;
    Ok(Json(Affected { sessions: revoked.sessions }))
}

/// A member that is not null.
fn some<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

fn some_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Cow<'de, str>>, D::Error> {
    crate::names::text(deserializer).map(Some)
}

/// A member that may be null, and is there.
fn optional<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl From<Sessions> for Target {
    fn from(sessions: Sessions) -> Self {
        match sessions {
            Sessions::User(user) => Self::User(user.0),
            Sessions::Session(session) => Self::Session(session.0),
            Sessions::Label(Label { name, value }) => Self::Label { name, value },
        }
    }
}

impl From<Subject> for BanSubject {
    fn from(subject: Subject) -> Self {
        match subject {
            Subject::User(user) => Self::User(user.0),
            Subject::Address(address) => Self::Address(address.0),
        }
    }
}
