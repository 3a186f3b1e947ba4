//! The core of a Tautline node, without I/O: channels and their logs, cursors, sessions, presence,
//! permissions.
//!
//! Start at [`Hub`]: all connections of a node share it. It never waits; its locks are held briefly, and
//! nothing is awaited under them. A [`Peer`] is the server's end of one connection: the shell that owns the
//! socket feeds it messages and the time, and drains its [`Output`]s.
//!
//! ```text
//!   shell: messages, deadlines, wakes ──▶ Peer ──▶ Hub ──▶ Channel (tail of the log, subscribers, presence)
//!                     messages, close ◀──  │       │        Session (requests, parking)
//!                                                  └──────▶ Engine  (the logs: memory, disk, …)
//! ```

mod acks;
mod address;
mod admission;
mod aging;
mod append;
mod bans;
mod budgets;
mod channel;
mod control;
mod counters;
mod details;
mod disconnect;
mod events;
mod figures;
mod gather;
mod history;
mod hub;
mod idempotent_methods;
mod identity;
mod inbox;
mod last_seen;
mod limits;
mod log_once;
mod mailbox;
mod maintenance;
mod measured_engine;
mod nodes;
mod packets;
mod pages;
mod pattern_figures;
mod peer;
mod permissions;
mod presence;
mod questions;
mod random;
mod rate;
mod rates;
mod read;
mod reply;
mod revocations;
mod revoke;
mod rule_pattern;
mod rules;
mod session;
mod shared_connection;
mod software;
mod stats;
mod story;
mod sync;
mod tags;
mod tail;
mod ticket;
mod user_connections;

pub use address::client_network;
pub use append::{PUBLISH_MANY_MAX, Publish, PublishOptions};
pub use control::{
    BanInfo, BanPage, CONTROL_PAGE_MAX, ChannelStanding, Control, ControlMessage, HistoryPage, HistorySpan,
    SessionFilter, SessionInfo, SessionPage, Target, UserState, UserStatus,
};
pub use counters::{HubCounters, OFFLINE_BOUNDS_MS, OfflineTimes};
pub use details::{LoginDetails, LoginTooLarge};
pub use events::{
    EVENT_BYTES_MAX, EventKind, EventLog, EventLogConfig, EventLogFigures, EventLogStanding, EventPage,
    EventSet, EventsConfig, InvalidEvents, StoredEvent, UnknownEvent,
};
pub use figures::LimitFigures;
pub use hub::{Hub, HubConfig};
pub use idempotent_methods::IdempotentMethods;
pub use identity::{Identity, LoginRefused};
pub use inbox::Inbox;
pub use limits::{HubLimits, NodeLimits};
pub use log_once::LogOnce;
pub use pattern_figures::PatternFigures;
pub use peer::{CallRequest, Output, Peer, ReplyTo};
pub use permissions::{Client, Decision};
pub use questions::{AuthenticateQuestion, Authorization, AuthorizeQuestion, Disconnect, LoginResult, Reply};
pub use rate::{Bucket, Rate};
pub use rates::{RateSet, Rates};
pub use revoke::{RevokeLogins, Revoked};
pub use rule_pattern::{InvalidRulePattern, Place, RulePattern};
pub use rules::{Access, ChannelRule, Permission, PresenceMode, Rules};
pub use session::id::CallKey;
pub use shared_connection::SharedConnection;
pub use stats::HubStats;
pub use story::{STORY_PAGE_MAX, StoryConfig, StoryEntry, StoryPage};
pub use tautline_engine::{
    Ban, BanSubject, Engine, EngineFigures, EngineLimits, LogState, MemoryEngine, NodeEvent, Position,
    Retention, budget, latency, meter,
};
pub use user_connections::ConnectionBeyond;
