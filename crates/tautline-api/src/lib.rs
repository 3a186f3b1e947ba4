//! The HTTP API for back ends: publishing, reading, sessions and logins, under `/api/v1`.
//!
//! Start at [`router`]. What the OpenAPI document says is what the routes do: both come from the same functions
//! (`publishing.rs`, `channels.rs`, `sessions.rs`, `users.rs`, `acting.rs`, `webhooks.rs`), and `document.rs` adds what all of them
//! have in common. The API has no sockets and no clock of its own; a [`Host`] has them.
//!
//! A request passes three steps, in this order: its key ([`ApiKeys`]) is checked for the scope of the operation, its body
//! is read within its bounds and charged to the key, and it is parsed; then the hub acts. Refusals are [`Problem`]s.

mod acting;
mod api_keys;
mod channels;
mod document;
mod host;
mod idempotency;
mod lists;
mod names;
mod objects;
mod page;
mod parameters;
mod problem;
mod publishing;
mod request;
mod routes;
mod sessions;
mod stats;
mod traced;
mod users;
mod webhooks;

pub use api_keys::{API_KEY_BYTES_MIN, ApiKeyError, ApiKeys, Scope, Scopes};
pub use document::openapi;
pub use host::{BodyLimits, Host, HostFigures};
pub use lists::ENTRIES_MAX;
pub use problem::{PROBLEM_JSON, Problem, ProblemCode};
pub use request::{Caller, authorized};
pub use routes::{refuse_path, router};
pub use webhooks::{WebhookCommand, WebhookControl, WebhookState, WebhookStatus};
