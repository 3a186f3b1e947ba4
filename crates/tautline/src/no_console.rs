//! In place of the console, in a build without it.

use std::time::Duration;

use axum::Router;
use tautline_gateway::Gateway;

use crate::{config::Settings, sockets::BoundSocket};

/// Nothing.
pub(crate) struct Console;

impl Console {
    #[expect(clippy::unnecessary_wraps, reason = "the other one fails")]
    pub(crate) const fn start(_: &Settings, _: &Gateway) -> anyhow::Result<Self> {
        Ok(Self)
    }

    pub(crate) const fn router(&self) -> Option<&Router> {
        None
    }

    pub(crate) const fn announce(&self, _: &[BoundSocket]) {}

    pub(crate) async fn drain_asked(&mut self) -> Duration {
        std::future::pending().await
    }
}
