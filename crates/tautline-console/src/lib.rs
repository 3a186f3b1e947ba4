//! The console: pages for operators, and what they need behind a sign-in.
//!
//! Start at [`router`]. The console has routes, no sockets; a [`tautline_api::Host`] is the server whose hub it shows, and
//! a [`Node`] tells and does what only the process around it can.
//!
//! A request passes these steps, in this order: its page is one of ours (`origin.rs`), its cookie names a session
//! (`sessions.rs`), its token proves that our page sent it, its operation is in the table with a scope (`operations.rs`)
//! that the account has, and an act has a reason, which is in the audit log (`audit.rs`) before anything is done. All of it
//! is in `gate.rs`. Behind that the server API answers as it does those who have a key.

mod accounts;
mod assets;
mod audit;
mod gate;
mod headers;
mod node;
mod operations;
mod options;
mod origin;
mod overview;
mod passwords;
mod random;
mod routes;
mod scope;
mod sessions;
mod sign_in;
mod sign_in_limits;

pub use accounts::{Account, AccountFile, AccountsError, NAME_BYTES_MAX};
pub use audit::{AuditEntry, AuditLog};
pub use node::{DrainFigures, EngineFigures, Node, NodeFigures};
pub use operations::{Operation, operations};
pub use options::ConsoleOptions;
pub use passwords::{PASSWORD_BYTES_MAX, PASSWORD_CHARS_MIN, PasswordError, PasswordHasher};
pub use routes::{Console, router};
pub use scope::ConsoleScope;
