//! Operations that read channels: logs, standing, presence.

use axum::Json;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tautline_hub::{ChannelStanding, HistorySpan};
use tautline_protocol::{
    ChannelName, Info,
    packet::{ErrorBody, server},
};
use tokio::sync::oneshot;
use utoipa::ToSchema;

use crate::{
    lists::{Limit, bounded},
    names::{Channel, Position},
    objects::object,
    problem::{Problem, ProblemBody},
    publishing::{answer, unanswered},
    request::{Posted, ToRead},
};

/// Channels to be told about.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Channels {
    /// The channels.
    #[serde(deserialize_with = "bounded")]
    #[schema(min_items = 1, max_items = 1000)]
    channels: Vec<Channel>,
}

/// A part of a channel's log to be read.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct History {
    channel: Channel,
    /// Which part; without it, the newest publications.
    span: Option<Span>,
    /// At most so many publications; without it, and beyond it, as many as a client may read at once.
    #[schema(value_type = Option<u16>, minimum = 1, maximum = 1000)]
    limit: Option<Limit>,
}

/// A part of a log.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Span {
    /// The newest publications.
    Newest,
    /// The oldest publications that are kept.
    Oldest,
    /// The oldest publications behind a position.
    #[serde(deserialize_with = "object")]
    After(Position),
    /// The newest publications before a position.
    #[serde(deserialize_with = "object")]
    Before(Position),
}

/// A page of a log.
#[derive(Serialize, ToSchema)]
pub(crate) struct HistoryPage {
    /// The epoch of the log.
    epoch: String,
    /// The last offset of the log; 0 before the first.
    head: u64,
    /// The publications, in the order of their offsets.
    #[schema(value_type = Vec<Publication>)]
    publications: Vec<Box<RawValue>>,
    /// Whether there is more in the direction that was read.
    more: bool,
}

/// A publication in a log.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what the log holds as JSON")]
struct Publication {
    /// Its offset.
    offset: u64,
    /// When it was appended, in wall milliseconds.
    at: u64,
    /// The payload.
    data: serde_json::Value,
    /// The user or session that published it; absent for back ends.
    #[schema(value_type = Option<serde_json::Value>)]
    from: Option<serde_json::Value>,
    /// Labels; absent without any.
    #[schema(value_type = Option<Object>, nullable = false)]
    tags: Option<serde_json::Value>,
}

/// The standing of channels, in the order of the request.
#[derive(Serialize, ToSchema)]
pub(crate) struct Standings {
    results: Vec<StandingOutcome>,
}

/// The standing of one of many channels.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum StandingOutcome {
    /// It is known.
    Ok(Standing),
    /// It is not, because the engine cannot tell it.
    Error(Box<ProblemBody>),
}

/// The standing of a channel.
#[derive(Serialize, ToSchema)]
struct Standing {
    /// The channel.
    channel: String,
    /// The epoch of its log.
    epoch: String,
    /// The last offset; 0 before the first publication.
    head: u64,
    /// When that was published, in wall milliseconds.
    at: u64,
    /// The number of publications kept, the most recent ones.
    kept: u64,
    /// Subscribed connections on this node.
    subscribers: usize,
    /// Members of its roster on this node; absent where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    members: Option<usize>,
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

/// Reads a part of a channel's log
///
/// No rule applies. A position that the log cannot prove is refused with `gap`.
#[utoipa::path(post, path = "/api/v1/history", tag = "read", request_body = History,
    responses((status = 200, description = "A page of the log", body = HistoryPage)))]
pub(crate) async fn history(request: Posted<ToRead>) -> Result<Json<HistoryPage>, Problem> {
    let History { channel, span, limit } = request.parse()?;
    let span = match span {
        None | Some(Span::Newest) => HistorySpan::Newest,
        Some(Span::Oldest) => HistorySpan::Oldest,
        Some(Span::After(position)) => HistorySpan::After(position.into()),
        Some(Span::Before(position)) => HistorySpan::Before(position.into()),
    };
    let (done, page) = answer();
    let count_max = limit.map_or(usize::MAX, |limit| limit.0);
    request.host.hub().control().history(request.host.now(), &channel.0, span, count_max, done);
    let tautline_hub::HistoryPage { epoch, head, publications, more } = page.await?;
    Ok(Json(HistoryPage { epoch, head, publications, more }))
}

/// Reads the standing of many channels
///
/// The last offset of each, and its subscribers on this node.
#[utoipa::path(post, path = "/api/v1/standing", tag = "read", request_body = Channels,
    responses((status = 200, description = "The standing of each", body = Standings)))]
pub(crate) async fn standing(request: Posted<ToRead>) -> Result<Json<Standings>, Problem> {
    let names = channel_names(request.parse()?);
    let (sender, receiver) = oneshot::channel();
    request
        .host
        .hub()
        .control()
        .standing(request.host.now(), &names, move |results| drop(sender.send(results)));
    let results = receiver.await.map_err(|_| unanswered())?;
    Ok(Json(Standings { results: results.into_iter().map(StandingOutcome::from).collect() }))
}

/// Reads the presence of many channels
///
/// The number of members, and the first of them.
#[utoipa::path(post, path = "/api/v1/presence", tag = "read", request_body = Channels,
    responses((status = 200, description = "The presence of each", body = Presence)))]
pub(crate) async fn presence(request: Posted<ToRead>) -> Result<Json<Presence>, Problem> {
    let names = channel_names(request.parse()?);
    let rosters = request.host.hub().control().rosters(&names);
    let presence = |(name, roster): (ChannelName, Option<server::Roster>)| {
        let has_presence = roster.is_some();
        let (count, members) = roster.map_or_else(Default::default, |roster| (roster.count, roster.members));
        let members = members.into_iter().map(Member::from).collect();
        ChannelPresence { channel: name.to_string(), has_presence, count, members }
    };
    Ok(Json(Presence { channels: names.into_iter().zip(rosters).map(presence).collect() }))
}

fn channel_names(Channels { channels }: Channels) -> Vec<ChannelName> {
    channels.into_iter().map(|channel| channel.0).collect()
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

impl From<Result<ChannelStanding, ErrorBody>> for StandingOutcome {
    fn from(result: Result<ChannelStanding, ErrorBody>) -> Self {
        match result {
            Err(error) => Self::Error(Box::new(Problem::from(error).into_body())),
            Ok(ChannelStanding { channel, epoch, head, at, kept, subscribers, members }) => {
                Self::Ok(Standing { channel, epoch, head, at, kept, subscribers, members })
            }
        }
    }
}
