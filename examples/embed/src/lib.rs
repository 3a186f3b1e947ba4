//! Two axum applications with a gateway inside: [`orders`] adds it to an app that has logins, data and routes of its
//! own; [`quiz`] is an app of calls and guests.

pub mod orders;
pub mod quiz;
