//! Seam only, for now.
#![allow(missing_docs, unused_variables, clippy::todo, reason = "the seam, until the code between lands")]
use crate::{Identity, LoginRefused};
use bytes::Bytes;
use tautline_protocol::{Now, UserId, packet::Auth};
use serde_json::value::RawValue;

#[derive(Debug)]
pub struct Peer;
/** What the shell is to do next. */
#[derive(Debug)]
pub enum Output {
    /** Send one WebSocket text message. */
    Message(Bytes),
    /** Check this login (it may take its time) and call `handle_login`. Nothing else may be fed before (`wants_input` is false). */
    Login(Auth),
    /** Run this method; settle with `Hub::answer`, exactly once. */
    Call(CallRequest),
    /** Send a close frame and hang up once everything before is written. Nothing follows. */
    Close { code: u16, reason: &'static str },
}
#[derive(Debug)]
pub struct CallRequest { pub reply_to: ReplyTo, pub method: String, pub data: Box<RawValue>, pub timeout_ms: u64, pub user: Option<UserId>, pub session: String }
#[derive(Debug)]
pub struct ReplyTo;
impl Peer {
    /** A whole text message. */
    pub fn handle_message(&mut self, now: Now, message: &str) { todo!() }
    pub fn handle_login(&mut self, now: Now, result: Result<Identity, LoginRefused>) { todo!() }
    /** Call when `poll_timeout` is reached; early calls do nothing. */
    pub fn handle_timeout(&mut self, now: Now) { todo!() }
    /** The socket is gone (closed, failed, or closed after `Output::Close`). Idempotent; also done on drop. */
    pub fn handle_lost(&mut self, now: Now) { todo!() }
    /** Drain to `None` after every input and every wake, while the socket takes bytes. */
    pub fn poll_output(&mut self, now: Now) -> Option<Output> { todo!() }
    /** `mono_ms` at which `handle_timeout` is due. Moves later with every message, so a shell may check it lazily. */
    pub fn poll_timeout(&self) -> u64 { todo!() }
    /** False: stop reading the socket until an output or wake changed that. */
    pub fn wants_input(&self) -> bool { todo!() }
    /** Ceiling of the next message, bytes; changes after hello. */
    pub fn message_bytes_max(&self) -> usize { todo!() }
}
