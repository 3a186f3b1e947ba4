//! Operations that read.

#![allow(unused_qualifications, reason = "the macro of the query's parameters writes them")]

use axum::Json;
use serde::{Deserialize, Serialize};
use tautline_hub::{ChannelStanding, Control, HubStats, Target};
use tautline_protocol::{
    ChannelName, Info,
    packet::{ErrorBody, server},
};
use tokio::sync::oneshot;
use utoipa::{IntoParams, ToSchema};

use crate::{
    HostFigures,
    lists::bounded,
    names::{Channel, Session, User},
    parameters::{InPath, InQuery},
    problem::Problem,
    publishing::unanswered,
    request::{Asked, Posted, ToRead},
};

/// The delivery state of a user's inbox: sent does not mean delivered, and delivered does not mean acknowledged.
#[derive(Serialize, ToSchema)]
pub(crate) struct Inbox {
    /// The epoch of the log.
    epoch: String,
    /// The last offset pushed; 0 before the first.
    sent: u64,
    /// When that was pushed, in wall milliseconds.
    at: u64,
    /// The number of publications kept, the most recent ones.
    kept: u64,
    /// The last offset that was handed to a connection of the user. It may have been lost with that connection.
    delivered: u64,
    /// The last offset that an app of the user has acknowledged.
    acknowledged: u64,
    /// Connections of the user on this node.
    connections: usize,
}

/// Channels to be told about.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Channels {
    /// The channels.
    #[serde(deserialize_with = "bounded")]
    #[schema(min_items = 1, max_items = 1000)]
    channels: Vec<Channel>,
}

/// The standing of channels, in the order of the request.
#[derive(Serialize, ToSchema)]
pub(crate) struct Standings {
    channels: Vec<Standing>,
}

/// The standing of a channel.
#[derive(Serialize, ToSchema)]
struct Standing {
    /// The channel.
    channel: String,
    /// The last offset; 0 before the first publication.
    head: u64,
    /// Subscribed connections on this node.
    subscribers: usize,
}

/// The presence of channels, in the order of the request.
#[derive(Serialize, ToSchema)]
pub(crate) struct Presence {
    channels: Vec<ChannelPresence>,
}

/// The members of a channel.
#[derive(Serialize, ToSchema)]
struct ChannelPresence {
    /// The channel.
    channel: String,
    /// Whether the channel has presence and is in use.
    has_presence: bool,
    /// The total number of members.
    count: usize,
    /// The first members.
    members: Vec<Member>,
}

/// A member of a channel.
#[derive(Serialize, ToSchema)]
struct Member {
    /// The session's user; absent for guests.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    user: Option<String>,
    /// The session.
    session: String,
    /// When it joined, in wall milliseconds.
    since: u64,
    /// Whether it is connected.
    state: MemberState,
    /// What its login says of the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    info: Option<Info>,
}

/// Whether a member is connected.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum MemberState {
    /// It has a connection.
    Online,
    /// Its connection is gone; its place is kept.
    Away,
}

/// A session.
#[derive(Serialize, ToSchema)]
pub(crate) struct SessionInfo {
    /// Its id.
    session: String,
    /// Its user; absent for a guest.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    user: Option<String>,
    /// Whether it has a connection at present.
    is_connected: bool,
}

/// A page of sessions.
#[derive(Serialize, ToSchema)]
pub(crate) struct SessionPage {
    /// The sessions.
    sessions: Vec<SessionInfo>,
    /// The `after` of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

/// Which sessions.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SessionQuery {
    /// Of this user.
    user: User,
    /// From behind this session, which is the `next` of the page before.
    #[param(nullable = false)]
    after: Option<Session>,
    /// At most so many.
    #[param(value_type = Option<u16>, nullable = false, minimum = 1, maximum = 1000)]
    limit: Option<Limit>,
}

/// Figures of this node.
#[derive(Serialize, ToSchema)]
pub(crate) struct Stats {
    /// WebSockets.
    connections: usize,
    /// Connections that are still, or only, HTTP.
    http_connections: usize,
    /// Sessions, parked ones included.
    sessions: usize,
    /// Channels that have a subscriber or publications.
    channels: usize,
    /// Publications since the process started.
    publications: u64,
    /// Members of rosters, those of parked sessions included.
    presence_seats: usize,
    /// Bytes of publications in memory.
    log_bytes: usize,
    /// Bytes of publications that the engine has not completed.
    append_bytes: usize,
    /// Bytes of replies that clients have not yet seen.
    reply_bytes: usize,
    /// Hellos in the admission queue.
    hellos_waiting: usize,
    /// Messages, requests and hellos refused since the process started because they came too fast.
    rate_limited: u64,
    /// Methods that run and did not answer at once.
    calls_running: usize,
    /// Connections that a panic has ended since the process started: each is a bug of the gateway.
    panics: u64,
}

/// Reads the delivery state of a user's inbox
///
/// How far it is sent, delivered and acknowledged, which are three different things.
#[utoipa::path(get, path = "/api/v1/users/{user}/inbox", tag = "read",
    params(("user" = User, Path, description = "The user's id")),
    responses((status = 200, description = "The state", body = Inbox)))]
pub(crate) async fn inbox(asked: Asked<ToRead>, InPath(user): InPath<User>) -> Result<Json<Inbox>, Problem> {
    let (sender, receiver) = oneshot::channel();
    let host = &asked.host;
    host.hub().inbox(host.now(), &user.0, move |result| drop(sender.send(result)));
    let inbox = receiver.await.unwrap_or_else(|_| Err(unanswered()))?;
    let tautline_hub::Inbox { epoch, sent, at, kept, delivered, acknowledged, connections } = inbox;
    Ok(Json(Inbox { epoch, sent, at, kept, delivered, acknowledged, connections }))
}

/// Reads the standing of many channels
///
/// The last offset of each, and its subscribers on this node.
#[utoipa::path(post, path = "/api/v1/standing", tag = "read", request_body = Channels,
    responses((status = 200, description = "The standing of each", body = Standings)))]
pub(crate) async fn standing(request: Posted<ToRead>) -> Result<Json<Standings>, Problem> {
    let names = channel_names(request.parse()?);
    let (sender, receiver) = oneshot::channel();
    control(&request).standing(request.host.now(), &names, move |all| drop(sender.send(all)));
    let all = receiver.await.map_err(|_| unanswered())?;
    let standing = |standing: Result<ChannelStanding, ErrorBody>| {
        let ChannelStanding { channel, head, subscribers, .. } = standing?;
        Ok(Standing { channel, head, subscribers })
    };
    Ok(Json(Standings { channels: all.into_iter().map(standing).collect::<Result<_, Problem>>()? }))
}

/// Reads the presence of many channels
///
/// The number of members, and the first of them.
#[utoipa::path(post, path = "/api/v1/presence", tag = "read", request_body = Channels,
    responses((status = 200, description = "The presence of each", body = Presence)))]
pub(crate) async fn presence(request: Posted<ToRead>) -> Result<Json<Presence>, Problem> {
    let names = channel_names(request.parse()?);
    let rosters = control(&request).rosters(&names);
    let presence = |(name, roster): (ChannelName, Option<server::Roster>)| {
        let has_presence = roster.is_some();
        let (count, members) = roster.map_or_else(Default::default, |roster| (roster.count, roster.members));
        let members = members.into_iter().map(Member::from).collect();
        ChannelPresence { channel: name.to_string(), has_presence, count, members }
    };
    Ok(Json(Presence { channels: names.into_iter().zip(rosters).map(presence).collect() }))
}

/// Lists sessions
///
/// Those on this node, parked ones included.
#[utoipa::path(get, path = "/api/v1/sessions", tag = "read", params(SessionQuery),
    responses((status = 200, description = "A page of sessions", body = SessionPage)))]
pub(crate) async fn sessions(
    asked: Asked<ToRead>,
    InQuery(query): InQuery<SessionQuery>,
) -> Result<Json<SessionPage>, Problem> {
    let SessionQuery { user, after, limit } = query;
    let after = after.map(|after| after.0);
    let count_max = limit.map_or(100, |limit| limit.0);
    let page =
        asked.host.hub().control().find(asked.host.now(), &Target::User(user.0), after.as_deref(), count_max);
    let sessions = page.sessions.into_iter().map(SessionInfo::from).collect();
    Ok(Json(SessionPage { sessions, next: page.next }))
}

/// Shows a session
///
/// Whether its client is connected, and whose it is.
#[utoipa::path(get, path = "/api/v1/sessions/{session}", tag = "read",
    params(("session" = Session, Path, description = "The session's id")),
    responses((status = 200, description = "The session", body = SessionInfo)))]
pub(crate) async fn session(
    asked: Asked<ToRead>,
    InPath(session): InPath<Session>,
) -> Result<Json<SessionInfo>, Problem> {
    let found = asked.host.hub().control().show(asked.host.now(), &session.0);
    found
        .map(|found| Json(found.into()))
        .ok_or_else(|| Problem::of_kind("not_found", "no such session on this node"))
}

/// Reads the figures of this node
///
/// Current gauges, and counters since the process started.
#[utoipa::path(get, path = "/api/v1/stats", tag = "read",
    responses((status = 200, description = "The figures", body = Stats)))]
pub(crate) async fn stats(asked: Asked<ToRead>) -> Json<Stats> {
    Json(Stats::new(&asked.host.hub().stats(), asked.host.figures()))
}

/// A count of items in a page.
#[derive(Deserialize)]
#[serde(try_from = "usize")]
struct Limit(usize);

impl TryFrom<usize> for Limit {
    type Error = String;

    fn try_from(count: usize) -> Result<Self, String> {
        match count {
            1..=crate::ENTRIES_MAX => Ok(Self(count)),
            _ => Err(format!("`limit` is 1 to {}", crate::ENTRIES_MAX)),
        }
    }
}

fn channel_names(Channels { channels }: Channels) -> Vec<ChannelName> {
    channels.into_iter().map(|channel| channel.0).collect()
}

fn control(request: &Posted<ToRead>) -> Control {
    request.host.hub().control()
}

impl From<server::Member> for Member {
    fn from(member: server::Member) -> Self {
        let state = match member.state {
            server::MemberState::Online => MemberState::Online,
            server::MemberState::Away => MemberState::Away,
        };
        Self { user: member.user, session: member.session, since: member.since, state, info: member.info }
    }
}

impl From<tautline_hub::SessionInfo> for SessionInfo {
    fn from(info: tautline_hub::SessionInfo) -> Self {
        Self { session: info.session, user: info.user, is_connected: info.is_connected }
    }
}

impl Stats {
    fn new(hub: &HubStats, host: HostFigures) -> Self {
        Self {
            connections: host.connections,
            http_connections: host.http_connections,
            sessions: hub.sessions,
            channels: hub.channels,
            publications: hub.publications,
            presence_seats: hub.presence_seats,
            log_bytes: hub.log_bytes,
            append_bytes: hub.append_bytes,
            reply_bytes: hub.reply_bytes,
            hellos_waiting: hub.hellos_waiting,
            rate_limited: hub.rate_limited,
            calls_running: host.calls_running,
            panics: host.panics,
        }
    }
}
