//! What a login says of channels and labels, whether a token or the app's back end says it.
//!
//! Start at [`LoginMembers::read`].

use std::{collections::BTreeMap, fmt::Display};

use serde_json::{Value, value::RawValue};
use tautline_hub::{LoginDetails, Permission};
use tautline_protocol::{ChannelName, Pattern};

/// The members, of any type, so that each bad one has its own error text.
pub(crate) struct LoginMembers<'a> {
    pub(crate) channels: &'a Value,
    pub(crate) subs: &'a Value,
    pub(crate) info: Option<Box<RawValue>>,
    pub(crate) labels: &'a Value,
}

impl LoginMembers<'_> {
    /// The patterns for all permissions, and the rarer parts. Their bounds are the hub's.
    ///
    /// # Errors
    /// The reason, for the client: it repeats nothing of the login.
    pub(crate) fn read(self) -> Result<(Box<[Pattern]>, LoginDetails), String> {
        let (channels, grants) = channels(self.channels)?;
        let details = LoginDetails {
            grants,
            subs: list("subs", self.subs, ChannelName::parse)?,
            info: self.info.map(Into::into),
            labels: labels(self.labels)?,
            token_id: None,
        };
        Ok((channels.into(), details))
    }
}

/// Patterns for all permissions, and those for some.
type Channels = (Vec<Pattern>, Vec<(Permission, Pattern)>);

/// `channels`: a list of patterns for all permissions, or an object with a list for each of some.
fn channels(member: &Value) -> Result<Channels, String> {
    let Value::Object(by_permission) = member else {
        return Ok((list("channels", member, Pattern::parse)?, Vec::new()));
    };
    let mut grants = Vec::new();
    for (word, patterns) in by_permission {
        let permission = Permission::ALL.into_iter().find(|permission| permission.as_str() == word);
        let permission = permission.ok_or(
            "the login's `channels` name no permission: they are subscribe, publish, history, presence",
        )?;
        let patterns: Vec<Pattern> = list("channels", patterns, Pattern::parse)?;
        grants.extend(patterns.into_iter().map(|pattern| (permission, pattern)));
    }
    Ok((Vec::new(), grants))
}

/// A list of names; none where the member is absent.
fn list<T, E: Display, C: FromIterator<T>>(
    member: &str,
    value: &Value,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<C, String> {
    let names = match value {
        Value::Null => &[][..],
        Value::Array(names) => names,
        _ => return Err(format!("the login's `{member}` are no list of names")),
    };
    let parse = |name: &Value| match name.as_str().map(&parse) {
        Some(Ok(name)) => Ok(name),
        Some(Err(why)) => Err(format!("the login's `{member}` hold a name that is not valid: {why}")),
        None => Err(format!("the login's `{member}` hold what is not text")),
    };
    names.iter().map(parse).collect()
}

fn labels(value: &Value) -> Result<BTreeMap<Box<str>, Box<str>>, String> {
    const WRONG: &str = "the login's `labels` are no object of names and texts";
    let labels = match value {
        Value::Null => return Ok(BTreeMap::new()),
        value => value.as_object().ok_or(WRONG)?,
    };
    let label =
        |(name, value): (&String, &Value)| Ok((name.as_str().into(), value.as_str().ok_or(WRONG)?.into()));
    labels.iter().map(label).collect()
}
