//! The embeddable Tautline server: sockets, HTTP and tasks around the hub.
//!
//! [`Gateway::builder`] configures one, [`Gateway::serve`] runs it on a listener of its own,
//! [`Gateway::router`] adds it to an existing axum application.
//!
//! No peer can make another one wait, and the memory of each is bounded: a connection is one small future
//! without a buffer, and undelivered publications stay in the logs until its socket takes them.
//!
//! ```no_run
//! use tautline_gateway::Gateway;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let gateway = Gateway::builder()
//!     .jwt_hs256(std::env::var("AUTH_SECRET")?)
//!     .call("echo", |call| async move { Ok(call.data) })
//!     .build()?;
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await?;
//! gateway.serve(listener).await?;
//! # Ok(())
//! # }
//! ```

mod accept;
mod addresses;
mod builder;
mod calls;
mod catch_unwind;
mod clients;
mod clock;
mod config;
mod connection;
mod current_backend;
mod drain;
mod figures;
mod gateway;
mod handlers;
mod http;
mod listener;
mod maintenance;
mod methods;
mod metrics;
mod permit;
mod questions;
mod refusals;
mod state;
mod swap;
mod timer_wheel;
mod transport;
mod warnings;

pub use builder::{BuildError, GatewayBuilder};
pub use config::GatewayConfig;
pub use drain::DrainProgress;
pub use figures::{GatewayFigures, TimedFigures};
pub use gateway::{Gateway, GatewayStats};
pub use http::{
    hosts::Hosts,
    origins::{ORIGIN_PRESET, ORIGIN_PRESETS},
};
pub use ipnet::IpNet;
pub use listener::{Listener, Serves};
pub use metrics::{Histogram, Metric, ProcessFigures, Sample, process_figures};
pub use tautline_adapters::plain::{Heartbeat, Names, PlainConfig};
pub use tautline_api::{
    API_KEY_BYTES_MIN, ApiKeyError, ApiKeys, Host, PROBLEM_JSON, Problem, Scope, Scopes, WebhookCommand,
    WebhookControl, WebhookState, WebhookStatus,
};
pub use tautline_backend::{Backend, Call, CallError, HS256_SECRET_BYTES_MIN, LoginAttempt};
pub use tautline_hub::{
    Access, Authorization, AuthorizeQuestion, ChannelRule, ConnectionBeyond, Engine, EngineLimits, HubLimits,
    Identity, Inbox, LoginRefused, LoginResult, MemoryEngine, NodeLimits, PresenceMode, PublishOptions, Rate,
    RateSet, Rates, Retention, RevokeLogins, Revoked, RulePattern,
};
pub use tautline_protocol::{
    ChannelName, ErrorCode, Limits, UserId,
    packet::{
        Auth, ErrorBody,
        server::{Member, MemberState, Roster},
    },
};
pub use transport::tls::{
    certificates::{TlsCertificate, TlsError},
    config::Tls,
};
