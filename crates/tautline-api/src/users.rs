//! Operations that read what is known of users: inboxes, who is online, bans.

#![allow(unused_qualifications, reason = "the macro of the query's parameters writes them")]

use std::net::IpAddr;

use axum::Json;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    lists::{Limit, bounded},
    names::User,
    parameters::{InPath, InQuery},
    problem::Problem,
    publishing::answer,
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

/// Users to be told about.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Users {
    /// The users.
    #[serde(deserialize_with = "bounded")]
    #[schema(min_items = 1, max_items = 1000)]
    users: Vec<User>,
}

/// Which users are online, in the order of the request.
#[derive(Serialize, ToSchema)]
pub(crate) struct Online {
    users: Vec<UserStatus>,
}

/// Whether a user is online on this node.
#[derive(Serialize, ToSchema)]
struct UserStatus {
    /// The user.
    user: String,
    /// Whether it is online.
    state: UserState,
    /// Its connections on this node.
    connections: usize,
    /// When its last connection ended, in wall milliseconds; only while it is offline.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    last_seen: Option<u64>,
}

/// Whether a user is online.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum UserState {
    /// It has a connection.
    Online,
    /// It has none, and had one.
    Offline,
    /// It has none, and this node remembers none.
    Unknown,
}

/// A page of bans.
#[derive(Serialize, ToSchema)]
pub(crate) struct Bans {
    /// The bans.
    bans: Vec<BanInfo>,
    /// The `after` of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

/// A ban of a user or of an address.
#[derive(Serialize, ToSchema)]
struct BanInfo {
    /// The user, unless it is one of an address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    user: Option<String>,
    /// The address, or in IPv6 the network, unless it is one of a user.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    address: Option<IpAddr>,
    /// When it ends, in wall milliseconds; absent for one that does not end by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    until: Option<u64>,
    /// Why.
    #[serde(skip_serializing_if = "str::is_empty")]
    #[schema(value_type = Option<String>, nullable = false)]
    reason: Box<str>,
}

/// Which bans.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct BanQuery {
    /// From behind this ban, which is the `next` of the page before.
    #[param(nullable = false)]
    after: Option<String>,
    /// At most so many.
    #[param(value_type = Option<u16>, nullable = false, minimum = 1, maximum = 1000)]
    limit: Option<Limit>,
}

/// Reads the delivery state of a user's inbox
///
/// How far it is sent, delivered and acknowledged, which are three different things.
#[utoipa::path(get, path = "/api/v1/users/{user}/inbox", tag = "read",
    params(("user" = User, Path, description = "The user's id")),
    responses((status = 200, description = "The state", body = Inbox)))]
pub(crate) async fn inbox(asked: Asked<ToRead>, InPath(user): InPath<User>) -> Result<Json<Inbox>, Problem> {
    let host = &asked.host;
    let (done, inbox) = answer();
    host.hub().inbox(host.now(), &user.0, done);
    let inbox = inbox.await?;
    let tautline_hub::Inbox { epoch, sent, at, kept, delivered, acknowledged, connections } = inbox;
    Ok(Json(Inbox { epoch, sent, at, kept, delivered, acknowledged, connections }))
}

/// Tells which users are online
///
/// Up to 1,000 at once. Who is not was seen last when its last connection ended, as far as this node remembers.
#[utoipa::path(post, path = "/api/v1/online", tag = "read", request_body = Users,
    responses((status = 200, description = "The state of each", body = Online)))]
pub(crate) async fn online(request: Posted<ToRead>) -> Result<Json<Online>, Problem> {
    let Users { users } = request.parse()?;
    let users: Vec<_> = users.into_iter().map(|user| user.0).collect();
    let users = request.host.hub().control().users(&users).into_iter().map(UserStatus::from).collect();
    Ok(Json(Online { users }))
}

/// Lists bans
///
/// Of users and of addresses.
#[utoipa::path(get, path = "/api/v1/bans", tag = "read", params(BanQuery),
    responses((status = 200, description = "A page of bans", body = Bans)))]
pub(crate) async fn bans(asked: Asked<ToRead>, InQuery(query): InQuery<BanQuery>) -> Json<Bans> {
    let count_max = Limit::or_default(query.limit);
    let page = asked.host.hub().control().bans(query.after.as_deref(), count_max);
    let ban =
        |tautline_hub::BanInfo { user, address, until, reason }| BanInfo { user, address, until, reason };
    Json(Bans { bans: page.bans.into_iter().map(ban).collect(), next: page.next })
}

impl From<tautline_hub::UserStatus> for UserStatus {
    fn from(status: tautline_hub::UserStatus) -> Self {
        let state = match status.state {
            tautline_hub::UserState::Online => UserState::Online,
            tautline_hub::UserState::Offline => UserState::Offline,
            tautline_hub::UserState::Unknown => UserState::Unknown,
        };
        Self { user: status.user, state, connections: status.connections, last_seen: status.last_seen }
    }
}
