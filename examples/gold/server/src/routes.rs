//! What needs no line: plain HTTP on the same port.
//!
//! | request | answer |
//! |---|---|
//! | `GET /gold/rooms` | open rooms |
//! | `GET /gold/leaders` | the best players |
//! | `POST /gold/players` with `{}` | an id and its token |
//! | `GET /…` | the web page |

use std::path::Path;

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderValue, StatusCode, header::CACHE_CONTROL},
    routing::{get, post},
};
use serde::Deserialize;
use tower_http::{services::ServeDir, set_header::SetResponseHeaderLayer};

use crate::{
    players::{NewPlayer, Players},
    rooms::{RoomSummary, Rooms},
    store::{Leader, Store},
};

/// What the routes need.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) rooms: Rooms,
    pub(crate) players: Players,
    pub(crate) store: Store,
}

pub(crate) fn router(site: Site, page: &Path) -> Router {
    let fresh = SetResponseHeaderLayer::overriding(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Router::new()
        .route("/gold/rooms", get(rooms))
        .route("/gold/leaders", get(leaders))
        .route("/gold/players", post(new_player))
        .with_state(site)
        .fallback_service(ServeDir::new(page))
        .layer(fresh)
}

async fn rooms(State(site): State<Site>) -> Json<Vec<RoomSummary>> {
    Json(site.rooms.list())
}

async fn leaders(State(site): State<Site>) -> Result<Json<Vec<Leader>>, StatusCode> {
    let leaders = site.store.leaders().await;
    leaders.map(Json).map_err(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, "the leaderboard could not be read");
        StatusCode::SERVICE_UNAVAILABLE
    })
}

/// A body of JSON, which no page of another origin may send unasked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

async fn new_player(
    State(site): State<Site>,
    Json(Nothing {}): Json<Nothing>,
) -> Result<Json<NewPlayer>, StatusCode> {
    site.players.new_player().map(Json).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}
