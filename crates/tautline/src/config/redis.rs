//! `[redis]`: how Redis is used, where it is the engine.

use schemars::JsonSchema;
use serde::Deserialize;
use tautline_process::secret::Secret;
use tautline_redis::{RedisOptions, RedisUrl};

use crate::config::Settings;

/// `[redis]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RedisSettings {
    /// The user of Redis. Default none: only a password.
    #[schemars(with = "String")]
    pub user: Option<String>,
    /// The password of Redis. Default none.
    #[schemars(with = "Secret")]
    pub password: Option<Secret>,
    /// What an acknowledgement means. Default `primary`.
    pub acknowledge: Acknowledge,
    /// How this node learns what other nodes have published. Default `hints`.
    pub wake: Wake,
    /// What the names of all keys begin with: gateways of one deployment have the same. Default `tl`.
    pub prefix: String,
}

impl Default for RedisSettings {
    fn default() -> Self {
        Self {
            user: None,
            password: None,
            acknowledge: Acknowledge::Primary,
            wake: Wake::Hints,
            prefix: "tl".to_owned(),
        }
    }
}

/// What an acknowledged publish means in Redis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Acknowledge {
    /// The primary has it. The default. A failover may take it back.
    #[default]
    Primary,
    /// One replica has it as well, which makes a loss by a failover less likely.
    Replica,
}

/// How a node learns what others have published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Wake {
    /// By messages of Redis, and by looking where they may be lost. The default.
    #[default]
    Hints,
    /// By looking alone, for servers without PUBLISH.
    Looks,
}

impl Settings {
    /// The options of an engine in this Redis.
    pub(crate) fn redis_options(&self, url: &RedisUrl) -> RedisOptions {
        let RedisSettings { user, password, acknowledge, wake, prefix } = &self.redis;
        let url = match password {
            Some(password) => url.clone().with_login(user.as_deref(), password.expose()),
            None => url.clone(),
        };
        RedisOptions {
            acknowledge: match acknowledge {
                Acknowledge::Primary => tautline_redis::Acknowledge::Primary,
                Acknowledge::Replica => tautline_redis::Acknowledge::Replica,
            },
            wake: match wake {
                Wake::Hints => tautline_redis::Wake::Hints,
                Wake::Looks => tautline_redis::Wake::Looks,
            },
            prefix: prefix.clone(),
            remember_ms: self.limits.protocol.ticket_ms,
            revocations_max: self.limits.engine.revocations_max,
            ..RedisOptions::new(url)
        }
    }
}
