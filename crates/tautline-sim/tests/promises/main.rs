//! What the client does by itself (protocol, section 6), promise by promise, and what sections 3 to 5 let an app see: each
//! shown with one phone, one server and a line between them that can be cut.

mod background;
mod backoff;
mod causes;
mod delivery;
mod finds;
mod heartbeat;
mod idle;
mod network;
mod once;
mod opening;
mod outbox;
mod requests;
mod slots;
mod week;
