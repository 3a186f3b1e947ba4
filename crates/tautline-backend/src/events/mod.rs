//! Webhooks: events from their logs to the app's back end, at least once and in order.
//!
//! Start at [`Webhooks::start`]. `delivery.rs` decides what is done next, without a clock or a socket; `message.rs`
//! writes the requests; `webhook.rs` is the task that reads the log and sends them.

mod delivery;
mod message;
mod options;
mod webhook;

pub use self::{
    delivery::{WebhookFigures, WebhookState},
    message::WebhookContent,
    options::{WebhookOptions, WebhookOptionsError},
    webhook::{WebhookCommand, WebhookHandle, Webhooks, WebhooksError},
};
