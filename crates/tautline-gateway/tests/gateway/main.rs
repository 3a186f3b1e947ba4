//! The gateway over real sockets, spoken to by a WebSocket client that others wrote, and by hand where that is too polite.

mod api;
mod calls;
mod drain;
mod handshake;
mod lines;
mod logins;
mod rig;
mod slow;
mod violations;
