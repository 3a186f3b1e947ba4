//! The Rust client: a line to a Tautline gateway that comes back by itself and loses nothing on the way.
//!
//! ```no_run
//! use tautline_client::{Client, ClientOptions, Login, ReadFrom, SubscriptionEvent};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let line = Client::connect(ClientOptions::new("ws://127.0.0.1:8000/connect", Login::guest()))?;
//! let mut room = line.subscribe("room:7", ReadFrom::Now).await?;
//! let published = line.publish("room:7", &serde_json::json!({"hello": 1})).await?;
//! println!("it is number {} in the log", published.offset);
//!
//! while let Some(event) = room.next().await {
//!     match event {
//!         SubscriptionEvent::Publication(publication) => println!("{}", publication.data),
//!         SubscriptionEvent::Gap(gap) => println!("load the state afresh: {:?}", gap.reason),
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! - **Requests** may be made in any state. Each settles exactly once, and `publish` and `call` are executed at most once,
//!   however many sockets it takes. A future that is dropped before its request was sent takes the request with it.
//! - **Subscriptions** go on where they were after every cut. Where the log cannot prove that nothing was lost, they say
//!   [`SubscriptionEvent::Gap`].
//! - **Back-pressure**: an app that does not read its subscriptions stops the client from reading its socket. What is
//!   published meanwhile waits in the gateway's log. All subscriptions of a client share the socket, and replies come
//!   through it too: read every subscription, or use a client for each.
//! - **Storage**: with [`ClientOptions::storage`] what waits and how far each channel was handled outlives the process.
//! - **Formats**: json, or msgpack with [`ClientOptions::format`]. The app sees json in either; bytes are `{"$bin":"<base64>"}`.
//! - **Connections** are `wss://`, TLS by rustls to whom the system trusts and [`ClientOptions::tls`] adds, or plain `ws://`.
//!
//! All decisions are made by [`tautline_protocol::client::Session`]; this crate owns the socket, the clock and the task.

mod address;
mod client;
mod delivery;
mod dial;
mod driver;
mod error;
mod handle_events;
mod options;
mod random;
mod requests;
mod socket;
mod storage;
mod stream;
mod subscription;
mod tls;

pub use address::InvalidUrl;
pub use client::{Client, ClientEvent};
pub use error::{ConnectError, RequestError, SubscribeError};
pub use options::{ClientOptions, Login, LoginError};
pub use requests::{HistoryEntry, HistoryPage, HistoryPlace, RequestOptions};
pub use storage::{Durability, RestoredRequest, Storage};
pub use subscription::{Publication, Subscription, SubscriptionEvent};
pub use tautline_protocol::{
    Cursor, ErrorCode, Format, ReadFrom,
    client::{
        DropCause, Dropped, LocalError, Options as SessionOptions, OutboxFull, RequestVerb, State,
        WelcomeEvent,
    },
    packet::{
        Auth, ErrorBody,
        server::{Gap, GapReason, Member, MemberState, PresenceChange, PresenceKind, Published, Roster},
    },
};
pub use tls::{InvalidRoot, Tls};
