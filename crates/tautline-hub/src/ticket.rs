//! Tickets: session state that the client carries, sealed, so that a node can resume the session (protocol,
//! section 3).
//!
//! Start at [`TicketKeys::seal`] and [`TicketKeys::open`]. A ticket is `base64url(nonce ‖
//! XChaCha20-Poly1305(claims))`. The extended nonce of 24 random bytes lets nodes seal without a shared
//! counter. Of the keys the first seals, and all of them open.

use std::{collections::BTreeMap, sync::Arc};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use serde::{Deserialize, Serialize};
use tautline_protocol::{ChannelName, Info, Pattern};

use crate::{LoginDetails, Permission};

const NONCE_BYTES: usize = 24;
/// Bound to every ticket, so that no other sealed data is accepted as one.
const PURPOSE: &[u8] = b"tautline ticket 1";

/// The content of a ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    /// The session.
    #[serde(rename = "s")]
    pub(crate) session: u128,
    /// The session's user; `None` for a guest.
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    /// The channels that the login behind it may use.
    #[serde(rename = "c", default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) channels: Vec<String>,
    /// The source that accepted that login. Tickets from before this field existed have none, and are
    /// invalid.
    #[serde(rename = "o", default)]
    pub(crate) source: Option<u64>,
    /// When that login was issued, in wall milliseconds; `None` in tickets from before this field existed.
    #[serde(rename = "i", default, skip_serializing_if = "Option::is_none")]
    pub(crate) issued_at_ms: Option<u64>,
    /// What few logins have.
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    pub(crate) details: Option<DetailsClaims>,
    /// When that login expires, in wall milliseconds.
    #[serde(rename = "a")]
    pub(crate) auth_expires_at: u64,
    /// When the ticket itself expires, in wall milliseconds.
    #[serde(rename = "e")]
    pub(crate) expires_at: u64,
    /// When it was sealed, in wall milliseconds; `None` in tickets from before this field existed.
    #[serde(rename = "z", default, skip_serializing_if = "Option::is_none")]
    pub(crate) sealed_at: Option<u64>,
    /// The node that last owned the session.
    #[serde(rename = "n")]
    pub(crate) node: String,
    /// That node among those that share its engine; `None` where it shares it with none.
    #[serde(rename = "k", default, skip_serializing_if = "Option::is_none")]
    pub(crate) node_id: Option<u64>,
    /// The incarnation of the logs in which the session began; 0 if unknown.
    #[serde(rename = "l")]
    pub(crate) incarnation: u32,
}

/// [`LoginDetails`] in a ticket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DetailsClaims {
    #[serde(rename = "g", default, skip_serializing_if = "Vec::is_empty")]
    grants: Vec<(Permission, String)>,
    #[serde(rename = "p", default, skip_serializing_if = "Vec::is_empty")]
    subs: Vec<String>,
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    info: Option<Info>,
    #[serde(rename = "b", default, skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<Box<str>, Box<str>>,
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    token_id: Option<Box<str>>,
}

impl DetailsClaims {
    pub(crate) fn of(details: &LoginDetails) -> Self {
        let LoginDetails { grants, subs, info, labels, token_id } = details.clone();
        let grants =
            grants.iter().map(|(granted, pattern)| (*granted, pattern.as_str().to_owned())).collect();
        Self { grants, subs: subs.iter().map(ToString::to_string).collect(), info, labels, token_id }
    }

    pub(crate) fn to_details(&self) -> Option<Arc<LoginDetails>> {
        let Self { grants, subs, info, labels, token_id } = self.clone();
        let parse = |(granted, pattern): &(_, String)| Some((*granted, Pattern::parse(pattern).ok()?));
        let grants = grants.iter().filter_map(parse).collect();
        let subs = subs.iter().filter_map(|name| ChannelName::parse(name).ok()).collect();
        LoginDetails { grants, subs, info, labels, token_id }.shared()
    }
}

/// The ticket keys.
pub(crate) struct TicketKeys(Vec<XChaCha20Poly1305>);

impl TicketKeys {
    /// The first key seals.
    ///
    /// # Panics
    ///
    /// When there is no key.
    pub(crate) fn new(keys: &[[u8; 32]]) -> Self {
        assert!(!keys.is_empty(), "a hub needs a ticket key");
        Self(keys.iter().map(|key| XChaCha20Poly1305::new(key.into())).collect())
    }

    /// Seals `claims`; `nonce` must be fresh and unpredictable.
    pub(crate) fn seal(&self, claims: &Claims, nonce: &[u8; 32]) -> String {
        let nonce = &nonce[..NONCE_BYTES];
        let plain = serde_json::to_vec(claims).expect("claims serialise");
        let payload = Payload { msg: &plain, aad: PURPOSE };
        let x_nonce = XNonce::try_from(nonce).expect("24 bytes");
        let sealed = self.0[0].encrypt(&x_nonce, payload).expect("claims are far below the cipher's limit");
        BASE64_URL_SAFE_NO_PAD.encode([nonce, &sealed].concat())
    }

    /// Opens a ticket; `None` if none of the keys sealed it.
    pub(crate) fn open(&self, ticket: &str) -> Option<Claims> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(ticket).ok()?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE_BYTES)?;
        let nonce = XNonce::try_from(nonce).ok()?;
        let plain =
            self.0.iter().find_map(|key| key.decrypt(&nonce, Payload { msg: sealed, aad: PURPOSE }).ok())?;
        serde_json::from_slice(&plain).ok()
    }
}

impl std::fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TicketKeys({} keys)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    fn details() -> LoginDetails {
        let info = RawValue::from_string(r#"{"name":"Ann"}"#.to_owned()).expect("json");
        LoginDetails {
            grants: vec![(Permission::Publish, Pattern::parse("room:*").expect("valid"))],
            subs: vec![ChannelName::parse("news").expect("valid")],
            info: Some(info.into()),
            labels: [("shop".into(), "7".into())].into(),
            token_id: Some("t1".into()),
        }
    }

    fn claims() -> Claims {
        Claims {
            session: u128::MAX - 5,
            user: Some("u42".into()),
            channels: vec!["room:*".into()],
            source: Some(u64::MAX),
            issued_at_ms: Some(1),
            details: Some(DetailsClaims::of(&details())),
            auth_expires_at: 2,
            expires_at: 1,
            sealed_at: Some(1),
            node: "n1".into(),
            node_id: Some(3),
            incarnation: 9,
        }
    }

    #[test]
    fn ticket_opens_only_with_configured_keys() {
        let ticket = TicketKeys::new(&[[1; 32]]).seal(&claims(), &[9; 32]);
        assert_eq!(TicketKeys::new(&[[2; 32], [1; 32]]).open(&ticket), Some(claims()));
        assert_eq!(TicketKeys::new(&[[2; 32]]).open(&ticket), None);
    }

    #[test]
    fn ticket_carries_details_of_login() {
        let keys = TicketKeys::new(&[[1; 32]]);
        let opened = keys.open(&keys.seal(&claims(), &[9; 32])).expect("sealed by this key");
        assert_eq!(opened.details.and_then(|kept| kept.to_details()).as_deref(), Some(&details()));
    }

    #[test]
    fn claims_of_earlier_versions_open() {
        let old = r#"{"s":7,"u":"u42","c":["room:*"],"o":5,"a":2,"e":1,"n":"n1","l":9}"#;
        let claims: Claims = serde_json::from_str(old).expect("fields that were added later may be absent");
        assert_eq!((claims.issued_at_ms, claims.details, claims.node_id), (None, None, None));
    }

    #[test]
    fn forged_truncated_or_foreign_ticket_does_not_open() {
        let keys = TicketKeys::new(&[[1; 32]]);
        let ticket = keys.seal(&claims(), &[9; 32]);
        for at in 0..ticket.len() {
            let mut forged = ticket.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).expect("ascii");
            assert!(
                keys.open(&forged).is_none_or(|opened| at + 1 == ticket.len() && opened == claims()),
                "byte {at}"
            );
        }
        for cut in [0, 1, 30, ticket.len() - 4] {
            assert_eq!(keys.open(&ticket[..cut]), None);
        }
        assert_eq!(keys.open("not base64 at all!"), None);
    }
}
