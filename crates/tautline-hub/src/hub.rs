//! Seam only, for now.
#![allow(missing_docs, unused_variables, clippy::todo, reason = "the seam, until the code between lands")]
use crate::{ChannelRule, Peer, ReplyTo};
use tautline_protocol::{ChannelName, Limits, Now, packet::server::{ErrorBody, Published}};
use serde_json::value::RawValue;
use std::task::Waker;

#[derive(Clone, Debug)]
pub struct HubConfig { pub limits: Limits, pub rules: Vec<ChannelRule>, pub node: String, /** newest first */ pub ticket_keys: Vec<[u8; 32]> }
#[derive(Clone, Debug)]
pub struct Hub;
#[derive(Clone, Copy, Debug, Default)]
pub struct HubStats { pub connections: usize, pub sessions: usize, pub parked: usize, pub channels: usize, pub log_bytes: usize, pub publications: u64 }
impl Hub {
    /** `seed` must be random in production. */
    pub fn new(config: HubConfig, seed: [u8; 32]) -> Self { todo!() }
    pub fn limits(&self) -> &Limits { todo!() }
    /** The server's end of a new connection; `waker` is woken when `poll_output` has something new. */
    pub fn peer(&self, now: Now, waker: Waker) -> Peer { todo!() }
    /** The back end's publish. */
    pub fn publish(&self, now: Now, channel: &ChannelName, data: &RawValue, tags: Option<&RawValue>) -> Result<Published, ErrorBody> { todo!() }
    /** Settles a call that was handed out by `Output::Call`. */
    pub fn answer(&self, now: Now, to: ReplyTo, result: Result<&RawValue, ErrorBody>) { todo!() }
    /** Wakes the next chunk of subscribers; true: there is more, yield and call again. */
    pub fn pump(&self) -> bool { todo!() }
    /** Who is to be woken when there is pumping to do. */
    pub fn set_pump_waker(&self, waker: Waker) { todo!() }
    /** Housekeeping: parked sessions, aged publications. Call about once a second. */
    pub fn tick(&self, now: Now) { todo!() }
    /** Tells every connection `bye{server_restart}`, its `retry_after_ms` spread over `spread_ms`; hellos are answered the same from now on. */
    pub fn drain(&self, now: Now, spread_ms: u64) { todo!() }
    /** Takes `drain` back (a demo's button). */
    pub fn resume_after_drain(&self) { todo!() }
    pub fn stats(&self) -> HubStats { todo!() }
}
