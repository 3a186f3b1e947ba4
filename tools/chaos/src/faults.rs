//! A fault as the control API takes it: flat JSON, each field checked against what the fault can use.

use serde::Deserialize;
use tautline_netem::{BACKGROUND_KEEP_MS, Direction, Fault};

use super::group::BadGroupName;
use super::state::Selector;

/// The body of `POST /faults`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FaultRequest {
    fault: Kind,
    group: Option<String>,
    connection: Option<u64>,
    direction: Option<Direction>,
    for_ms: Option<u64>,
    after_ms: Option<u64>,
    server_told_ms: Option<u64>,
    client_told_ms: Option<u64>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Cut,
    Fin,
    Reset,
    HalfOpen,
    Stall,
    Refuse,
    BackgroundKill,
}

/// What a request says that cannot be meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadRequest {
    #[error("this fault takes no `{0}`; it would change nothing")]
    Useless(&'static str),
    #[error("`group` and `connection` are both given; name one of them, or none for everybody")]
    Both,
    #[error("a refusal is for connections to come; name a `group` or nobody, but no `connection`")]
    RefusedOne,
    #[error(transparent)]
    Group(#[from] BadGroupName),
}

impl FaultRequest {
    /// The fault that is asked for.
    pub(super) fn fault(&self) -> Result<Fault, BadRequest> {
        let direction = self.direction.unwrap_or_default();
        let for_ms = self.for_ms;
        let (fault, takes): (Fault, &[&str]) = match self.fault {
            Kind::Cut => (Fault::Cut, &[]),
            Kind::Fin => (Fault::Fin, &[]),
            Kind::Reset => (Fault::Reset { direction }, &["direction"]),
            Kind::HalfOpen => (Fault::HalfOpen { direction, for_ms }, &["direction", "for_ms"]),
            Kind::Stall => (Fault::Stall { direction, for_ms }, &["direction", "for_ms"]),
            Kind::Refuse => (Fault::Refuse { for_ms }, &["for_ms"]),
            Kind::BackgroundKill => {
                (self.background_kill(), &["after_ms", "server_told_ms", "client_told_ms"])
            }
        };
        let given = [
            ("direction", self.direction.is_some()),
            ("for_ms", for_ms.is_some()),
            ("after_ms", self.after_ms.is_some()),
            ("server_told_ms", self.server_told_ms.is_some()),
            ("client_told_ms", self.client_told_ms.is_some()),
        ];
        match given.into_iter().find(|(name, given)| *given && !takes.contains(name)) {
            Some((name, _)) => Err(BadRequest::Useless(name)),
            None => Ok(fault),
        }
    }

    /// Whom it is asked for.
    pub(super) fn selector(&self) -> Result<Selector, BadRequest> {
        if matches!(self.fault, Kind::Refuse) && self.connection.is_some() {
            return Err(BadRequest::RefusedOne);
        }
        selector(self.group.as_deref(), self.connection)
    }

    fn background_kill(&self) -> Fault {
        Fault::BackgroundKill {
            after_ms: self.after_ms.unwrap_or(BACKGROUND_KEEP_MS),
            server_told_ms: self.server_told_ms,
            client_told_ms: self.client_told_ms,
        }
    }
}

/// Whom two optional fields name.
pub(super) fn selector(group: Option<&str>, connection: Option<u64>) -> Result<Selector, BadRequest> {
    match (group, connection) {
        (Some(_), Some(_)) => Err(BadRequest::Both),
        (Some(group), None) => Ok(Selector::Group(group.parse()?)),
        (None, Some(id)) => Ok(Selector::Connection(id)),
        (None, None) => Ok(Selector::All),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(json: &str) -> FaultRequest {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn omitted_fault_fields_have_defaults() {
        assert_eq!(request(r#"{"fault":"half_open"}"#).fault(), Ok(Fault::half_open()));
        assert_eq!(request(r#"{"fault":"background_kill"}"#).fault(), Ok(Fault::background_kill()));
        assert_eq!(request(r#"{"fault":"cut"}"#).selector(), Ok(Selector::All));
    }

    #[test]
    fn useless_fault_field_is_refused_by_name() {
        for (json, field) in [
            (r#"{"fault":"cut","for_ms":5}"#, "for_ms"),
            (r#"{"fault":"refuse","direction":"up"}"#, "direction"),
            (r#"{"fault":"stall","after_ms":5}"#, "after_ms"),
        ] {
            assert_eq!(request(json).fault(), Err(BadRequest::Useless(field)), "{json}");
        }
    }

    #[test]
    fn ambiguous_fault_target_is_refused() {
        let both = request(r#"{"fault":"cut","group":"a","connection":1}"#);
        assert_eq!(both.selector(), Err(BadRequest::Both));
        let refused = request(r#"{"fault":"refuse","connection":1}"#);
        assert_eq!(refused.selector(), Err(BadRequest::RefusedOne));
        let nameless = request(r#"{"fault":"cut","group":"a b"}"#);
        assert!(matches!(nameless.selector(), Err(BadRequest::Group(_))));
    }
}
