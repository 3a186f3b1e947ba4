//! Login services for those who have no app id, and for tests: they behave as the vendors' documents say.
//!
//! Start at [`MockServer::serve`]. A code is good once. What it gives is in its name, up to the first dot:
//!
//! | code | answer |
//! |---|---|
//! | `ann`, `ann.1`, `ann.2` | the user `ann` |
//! | `expired.1` | the code is not valid |
//! | `busy.1` | the service is busy |
//! | `often.1` | this user logs in too often |
//! | `banned.1` | this user is kept out |
//! | `slow.1` | the user `slow`, after 300 ms |
//! | `hang.1` | no answer |
//! | `fail.1` | HTTP 500 |

mod keys;
mod server;
mod vendors;
mod with_token;

#[cfg(test)]
pub(crate) use self::{
    keys::{ALIPAY_PRIVATE_KEY as OTHER_PRIVATE_KEY, APP_PUBLIC_KEY},
    vendors::signed as signed_by_alipay,
};
pub use self::{
    keys::{ALIPAY_PUBLIC_KEY, APP_PRIVATE_KEY},
    server::MockServer,
};

use std::{collections::HashSet, time::Duration};

/// The app id and the secret that a mock knows.
pub const APP_ID: &str = "mock-app";
/// See [`APP_ID`]. Alipay has [`APP_PRIVATE_KEY`] in its place.
pub const APP_SECRET: &str = "mock-secret";

/// Codes that are remembered as used; beyond it all are forgotten.
const USED_MAX: usize = 100_000;

/// A vendor that can be mocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MockVendor {
    /// WeChat, and QQ.
    WeChat,
    /// Alipay.
    Alipay,
    /// Douyin.
    Douyin,
    /// Baidu.
    Baidu,
    /// Kuaishou.
    Kuaishou,
    /// 企业微信 (WeCom), which wants a token of the app.
    WeCom,
    /// 飞书 (Feishu), which wants one, too.
    Feishu,
}

/// A request to a mock.
#[derive(Debug)]
pub(crate) struct MockRequest {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) authorization: String,
    /// The query, or the form.
    pub(crate) parameters: Vec<(String, String)>,
    pub(crate) content_type: String,
    pub(crate) body: String,
}

/// A mock's answer.
#[derive(Debug)]
pub(crate) struct MockAnswer {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) body: String,
    /// When it is sent; never: `None`.
    pub(crate) after: Option<Duration>,
}

/// A login service of one vendor.
#[derive(Debug)]
pub(crate) struct Mock {
    vendor: MockVendor,
    used: HashSet<String>,
    /// The number of the app's token that is good; earlier ones have ended.
    token: usize,
    pub(crate) requests: usize,
    /// Those of them that asked for a token of the app.
    pub(crate) token_requests: usize,
}

/// What a code is good for.
enum Code {
    User(String),
    Invalid,
    Used,
    Busy,
    TooOften,
    Banned,
}

impl Mock {
    pub(crate) fn new(vendor: MockVendor) -> Self {
        Self { vendor, used: HashSet::new(), token: 1, requests: 0, token_requests: 0 }
    }

    /// The app's token is not good any more: the next request for one gives another.
    #[cfg(test)]
    pub(crate) fn end_token(&mut self) {
        self.token += 1;
    }

    pub(crate) fn answer(&mut self, request: &MockRequest) -> MockAnswer {
        self.requests += 1;
        let token = format!("mock-token-{}", self.token);
        if let Some(body) = with_token::token(self.vendor, request, &token) {
            self.token_requests += 1;
            let after = Some(Duration::ZERO);
            return MockAnswer { status: 200, content_type: "application/json", body, after };
        }
        let code = vendors::code(self.vendor, request);
        let name = name(&code);
        let (status, after) = match name {
            "slow" => (200, Some(Duration::from_millis(300))),
            "hang" => (200, None),
            "fail" => (500, Some(Duration::ZERO)),
            _ => (200, Some(Duration::ZERO)),
        };
        let (content_type, body) = vendors::answer(self.vendor, request, &token, || self.redeem(&code));
        MockAnswer { status, content_type, body, after }
    }

    fn redeem(&mut self, code: &str) -> Code {
        match name(code) {
            "" | "expired" => return Code::Invalid,
            "busy" => return Code::Busy,
            "often" => return Code::TooOften,
            "banned" => return Code::Banned,
            _ => {}
        }
        if self.used.len() >= USED_MAX {
            self.used.clear();
        }
        if !self.used.insert(code.to_owned()) {
            return Code::Used;
        }
        Code::User(name(code).to_owned())
    }
}

fn name(code: &str) -> &str {
    code.split_once('.').map_or(code, |(name, _)| name)
}

impl MockRequest {
    /// A request as it comes over HTTP.
    pub(crate) fn new(
        method: &str,
        uri: &http::Uri,
        [content_type, authorization]: [&str; 2],
        body: &[u8],
    ) -> Self {
        let body = String::from_utf8_lossy(body).into_owned();
        let form = if content_type.starts_with("application/x-www-form-urlencoded") { &body } else { "" };
        let parameters = pairs(uri.query().unwrap_or_default()).chain(pairs(form)).collect();
        Self {
            method: method.to_owned(),
            path: uri.path().to_owned(),
            authorization: authorization.to_owned(),
            parameters,
            content_type: content_type.to_owned(),
            body,
        }
    }

    fn parameter(&self, name: &str) -> &str {
        self.parameters.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

/// The pairs of a query or a form.
fn pairs(text: &str) -> impl Iterator<Item = (String, String)> + '_ {
    text.split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (unescape(name), unescape(value)))
}

fn unescape(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((&first, behind)) = rest.split_first() {
        let hex = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
        (rest, _) = match (first, behind.get(..2).and_then(hex)) {
            (b'%', Some(byte)) => (&behind[2..], bytes.push(byte)),
            (b'+', _) => (behind, bytes.push(b' ')),
            _ => (behind, bytes.push(first)),
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
