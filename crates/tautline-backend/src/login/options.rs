//! Options of `[[login]]`: a vendor whose login codes are accepted.
//!
//! Start at [`LoginOptions`].

use std::time::Duration;

use serde::Deserialize;
use tautline_files::secret::Secret;
use tautline_protocol::units;

use super::{
    alipay::{self, Alipay},
    baidu::{self, Baidu},
    douyin::{self, Douyin},
    generic::{Generic, GenericOptions},
    kuaishou::{self, Kuaishou},
    vendor::Vendor,
    wechat::{self, WeChat},
};
use crate::token::check_url;

/// How a vendor is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum LoginKind {
    /// WeChat's `code2Session`.
    WeChat,
    /// Alipay's `alipay.system.oauth.token`.
    Alipay,
    /// Douyin's `jscode2session`.
    Douyin,
    /// QQ's `jscode2session`.
    Qq,
    /// Baidu's `jscode2sessionkey`.
    Baidu,
    /// Kuaishou's `code2session`.
    Kuaishou,
    /// As `generic` says.
    Generic,
}

/// A vendor whose login codes are accepted.
///
/// A configuration file may nest it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LoginOptions {
    /// The word in `auth.provider` of a `hello`, such as `wechat`.
    pub provider: String,
    /// How the vendor is spoken to. Default: as `provider` says.
    pub kind: Option<LoginKind>,
    /// The app's id at the vendor (Baidu: the app key).
    pub app_id: String,
    /// The app's secret (Alipay: the app's private key, in PEM or naked base64).
    pub app_secret: Option<Secret>,
    /// Alipay's public key, with which its answers are signed.
    pub alipay_public_key: Option<String>,
    /// Alipay in certificate mode: `app_cert_sn`.
    pub app_cert_sn: Option<String>,
    /// Alipay in certificate mode: `alipay_root_cert_sn`.
    pub alipay_root_cert_sn: Option<String>,
    /// Where codes are sent. Default: the vendor's own address.
    pub url: Option<String>,
    /// What stands before an id in the name of a user. Default: `provider` and a colon, so that ids of two
    /// vendors never meet.
    pub user_prefix: Option<String>,
    /// Names users by the id that all apps of one account share (WeChat, QQ, Douyin, Kuaishou). Default no.
    pub union_id: bool,
    /// How long the vendor may take for an answer. Default 3 s: less than `backend_timeout`.
    #[serde(with = "units::Wait")]
    pub timeout: Duration,
    /// Calls to the vendor at once; others wait. Default 64.
    #[serde(with = "units::Count")]
    pub calls_running_max: usize,
    /// Logins that wait for an answer or for their turn; others are told to come again. Default 1,024.
    #[serde(with = "units::Count")]
    pub logins_waiting_max: usize,
    /// Calls to the vendor a second, for the whole app. Default 500.
    #[serde(with = "units::Count")]
    pub calls_per_second_max: usize,
    /// Codes a minute from one address (in IPv6: from one /64). Default 300: many phones share one.
    #[serde(with = "units::Count")]
    pub codes_per_address_max: usize,
    /// The description of a vendor that is not built in (`kind = "generic"`).
    pub generic: Option<GenericOptions>,
}

impl Default for LoginOptions {
    fn default() -> Self {
        Self {
            provider: String::new(),
            kind: None,
            app_id: String::new(),
            app_secret: None,
            alipay_public_key: None,
            app_cert_sn: None,
            alipay_root_cert_sn: None,
            url: None,
            user_prefix: None,
            union_id: false,
            timeout: Duration::from_secs(3),
            calls_running_max: 64,
            logins_waiting_max: 1024,
            calls_per_second_max: 500,
            codes_per_address_max: 300,
            generic: None,
        }
    }
}

/// Codes cannot be checked with these options. The text names the provider and repeats no secret.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("[[login]] {provider:?}: {why}")]
pub struct LoginOptionsError {
    provider: String,
    why: String,
}

impl LoginOptions {
    /// A vendor with its defaults.
    #[must_use]
    pub fn new(provider: impl Into<String>, app_id: impl Into<String>, app_secret: Secret) -> Self {
        let (provider, app_id) = (provider.into(), app_id.into());
        Self { provider, app_id, app_secret: Some(app_secret), ..Self::default() }
    }

    /// Checks the options.
    ///
    /// # Errors
    /// The first that is not valid.
    pub fn check(&self) -> Result<(), LoginOptionsError> {
        self.vendor().map(drop)
    }

    /// Checks the options of all vendors, each and together.
    ///
    /// # Errors
    /// The first that is not valid, has the name of an earlier one, or names its users as an earlier one does.
    pub fn check_all(all: &[Self]) -> Result<(), LoginOptionsError> {
        for (index, options) in all.iter().enumerate() {
            options.check()?;
            let fail =
                |why: &str| LoginOptionsError { provider: options.provider.clone(), why: why.to_owned() };
            for earlier in &all[..index] {
                if earlier.provider == options.provider {
                    return Err(fail("an earlier one has this name"));
                }
                if earlier.user_prefix() == options.user_prefix() && !earlier.shares_users(options) {
                    return Err(fail(
                        "an earlier one has this `user_prefix`: users of two vendors could have one name",
                    ));
                }
            }
        }
        Ok(())
    }

    /// Apps of one account at one vendor give a user the same id.
    fn shares_users(&self, other: &Self) -> bool {
        self.kind() == other.kind() && self.union_id && other.union_id
    }

    fn kind(&self) -> Option<LoginKind> {
        self.kind.or_else(|| LoginKind::of(&self.provider))
    }

    pub(super) fn vendor(&self) -> Result<Box<dyn Vendor>, LoginOptionsError> {
        self.try_vendor().map_err(|why| LoginOptionsError { provider: self.provider.clone(), why })
    }

    pub(super) fn user_prefix(&self) -> String {
        self.user_prefix.clone().unwrap_or_else(|| format!("{}:", self.provider))
    }

    fn try_vendor(&self) -> Result<Box<dyn Vendor>, String> {
        if self.provider.is_empty() {
            return Err("`provider` is missing: the word that clients say".to_owned());
        }
        let kind =
            self.kind().ok_or("`kind` is missing: wechat, alipay, douyin, qq, baidu, kuaishou or generic")?;
        if self.generic.is_some() && kind != LoginKind::Generic {
            return Err("`generic` is only for `kind = \"generic\"`".to_owned());
        }
        let is_generic = kind == LoginKind::Generic;
        if self.app_id.is_empty() && !is_generic {
            return Err("`app_id` is missing".to_owned());
        }
        let app_secret = match &self.app_secret {
            Some(secret) if !secret.expose().is_empty() => secret.clone(),
            _ if is_generic => Secret::new(""),
            _ => return Err("`app_secret` is missing".to_owned()),
        };
        let url = self.url.clone().or_else(|| kind.url().map(str::to_owned)).ok_or("`url` is missing")?;
        if !is_generic {
            check_url(&url)?;
        }
        let (app_id, union_id) = (self.app_id.clone(), self.union_id);
        Ok(match kind {
            LoginKind::WeChat | LoginKind::Qq => Box::new(WeChat { url, app_id, app_secret, union_id }),
            LoginKind::Douyin => Box::new(Douyin { url, app_id, app_secret, union_id }),
            LoginKind::Baidu => Box::new(Baidu { url, app_id, app_secret }),
            LoginKind::Kuaishou => Box::new(Kuaishou { url, app_id, app_secret, union_id }),
            LoginKind::Generic => {
                let options = self.generic.clone().unwrap_or_default();
                let generic = Generic { url, app_id, app_secret, options };
                generic.check()?;
                Box::new(generic)
            }
            LoginKind::Alipay => {
                let public_key = self.alipay_public_key.as_deref().ok_or("`alipay_public_key` is missing")?;
                let serial_numbers = match (&self.app_cert_sn, &self.alipay_root_cert_sn) {
                    (Some(app), Some(root)) => Some((app.clone(), root.clone())),
                    (None, None) => None,
                    _ => return Err("`app_cert_sn` and `alipay_root_cert_sn` go together".to_owned()),
                };
                Box::new(Alipay::new(url, app_id, app_secret.expose(), public_key, serial_numbers)?)
            }
        })
    }
}

impl LoginKind {
    fn of(provider: &str) -> Option<Self> {
        Some(match provider {
            "wechat" => Self::WeChat,
            "alipay" => Self::Alipay,
            "douyin" => Self::Douyin,
            "qq" => Self::Qq,
            "baidu" => Self::Baidu,
            "kuaishou" => Self::Kuaishou,
            _ => return None,
        })
    }

    fn url(self) -> Option<&'static str> {
        Some(match self {
            Self::WeChat => wechat::WECHAT_URL,
            Self::Qq => wechat::QQ_URL,
            Self::Alipay => alipay::URL,
            Self::Douyin => douyin::URL,
            Self::Baidu => baidu::URL,
            Self::Kuaishou => kuaishou::URL,
            Self::Generic => return None,
        })
    }
}
