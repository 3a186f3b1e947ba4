//! Operations that read sessions.

#![allow(unused_qualifications, reason = "the macro of the query's parameters writes them")]

use std::{collections::BTreeMap, net::IpAddr};

use axum::Json;
use serde::{Deserialize, Serialize};
use tautline_hub::{SessionFilter, Target};
use utoipa::{IntoParams, ToSchema};

use crate::{
    lists::Limit,
    names::{Address, LabelText, Session, User},
    parameters::{InPath, InQuery},
    problem::Problem,
    request::{Asked, ToRead},
};

/// A session. Times are in wall milliseconds, rounded to a second.
#[derive(Serialize, ToSchema)]
pub(crate) struct SessionInfo {
    /// Its id.
    session: String,
    /// Its user; absent for a guest.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    user: Option<String>,
    /// The labels of its login; absent without any.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(required = false)]
    labels: BTreeMap<String, String>,
    /// The client's address, or in IPv6 its network; absent where many clients share it, as behind a proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    address: Option<IpAddr>,
    /// The host that the client runs in, as its hello said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    platform: Option<String>,
    /// The client's SDK with its version, as its hello said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    sdk: Option<String>,
    /// The node that has it.
    node: String,
    /// When this node opened it.
    opened_at: u64,
    /// Whether it has a connection at present.
    is_connected: bool,
    /// When its connection began; absent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    connected_at: Option<u64>,
    /// When its last connection ended; absent while it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    away_at: Option<u64>,
    /// Channels that the connection is subscribed to.
    channels: u16,
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

/// Which sessions: those to which all that is given applies.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SessionQuery {
    /// Of this user.
    #[param(nullable = false)]
    user: Option<User>,
    /// Whose login has this label: its name, a colon and its value.
    #[param(value_type = Option<LabelText>, nullable = false)]
    label: Option<LabelText>,
    /// From this address, in IPv6 from its /64.
    #[param(nullable = false)]
    address: Option<Address>,
    /// Whose client runs in this host.
    #[param(nullable = false)]
    platform: Option<String>,
    /// Whose client has this SDK: `name/version`, or `name` for all versions.
    #[param(nullable = false)]
    sdk: Option<String>,
    /// On this node.
    #[param(nullable = false)]
    node: Option<String>,
    /// Which have a connection, or have none.
    #[param(nullable = false)]
    is_connected: Option<bool>,
    /// From behind this session, which is the `next` of the page before.
    #[param(nullable = false)]
    after: Option<Session>,
    /// At most so many.
    #[param(value_type = Option<u16>, nullable = false, minimum = 1, maximum = 1000)]
    limit: Option<Limit>,
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
    let SessionQuery { user, label, address, platform, sdk, node, is_connected, after, limit } = query;
    let filter = SessionFilter {
        user: user.map(|user| user.0),
        labels: label.map(|LabelText(name, value)| (name, value)).into_iter().collect(),
        address: address.map(|address| address.0),
        platform,
        sdk,
        node,
        is_connected,
    };
    let after = after.map(|after| after.0);
    let (host, count_max) = (&asked.host, Limit::or_default(limit));
    let target = Target::Matching(filter);
    let page = host.hub().control().find(host.now(), &target, after.as_deref(), count_max);
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

impl From<tautline_hub::SessionInfo> for SessionInfo {
    fn from(info: tautline_hub::SessionInfo) -> Self {
        Self {
            session: info.session,
            user: info.user,
            labels: info.labels,
            address: info.address,
            platform: info.platform,
            sdk: info.sdk,
            node: info.node,
            opened_at: info.opened_at,
            is_connected: info.is_connected,
            connected_at: info.connected_at,
            away_at: info.away_at,
            channels: info.channels,
        }
    }
}
