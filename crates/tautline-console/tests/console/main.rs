//! The console over its routes, without sockets and with time moved by hand.

mod acts;
mod guard;
mod pages;
mod rig;
mod sign_in;
