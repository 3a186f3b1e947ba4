//! A client of a gateway's server API.
//!
//! Start at [`ApiClient::new`]. Publications carry an idempotency key, so they are repeated where their outcome is
//! unknown.

use std::time::Duration;

use bytes::Bytes;
use http::{
    Method, Request, Uri,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use http_body_util::Full;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use tautline_files::secret::Secret;
use tautline_protocol::Cursor;

use crate::{
    http_client::{HttpClient, HttpError},
    random::random,
};

/// The most bytes of an answer.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How often a publication is sent at most, the pause before the second time (it doubles), and the longest one.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// Asks one gateway, with one key.
pub struct ApiClient {
    client: HttpClient,
    url: String,
    key: Secret,
}

/// There is no answer that helps. The texts name no secret.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiClientError {
    /// The URL is of no gateway.
    #[error("the URL of a gateway begins with https:// or http://, and has no user")]
    Url,
    /// No header can carry the key.
    #[error("an API key holds only visible ASCII characters")]
    Key,
    /// The gateway was not reached.
    #[error("the gateway does not answer: {0}")]
    Unreachable(String),
    /// The gateway refused it.
    #[error("the gateway refused it: {detail} ({status} {code})")]
    Refused {
        /// The status of the answer.
        status: u16,
        /// The code of the problem; empty where the answer was none.
        code: String,
        /// What the problem says.
        detail: String,
        /// The member at fault, as a JSON pointer.
        field: Option<String>,
        /// When the same may succeed, in milliseconds.
        retry_after_ms: Option<u64>,
        /// The present head of the log, where another one was expected.
        head: Option<Box<Cursor>>,
    },
    /// It answered with something else.
    #[error("the answer is no JSON: is this a gateway?")]
    NoJson,
}

/// Where a publication is in its log.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct ApiPublished {
    /// The epoch of the log.
    pub epoch: String,
    /// The publication's offset.
    pub offset: u64,
    /// When it was appended, in milliseconds since 1970.
    pub at: u64,
}

/// A publication that is to be sent. Built by [`ApiPublication::to_channel`] or [`ApiPublication::to_user`].
#[derive(Clone, Debug)]
pub struct ApiPublication {
    operation: &'static str,
    body: Map<String, Value>,
}

impl ApiPublication {
    /// To a channel.
    #[must_use]
    pub fn to_channel(channel: &str, data: impl Into<Value>) -> Self {
        Self::new("publish", "channel", channel, data.into())
    }

    /// To the inbox of a user.
    #[must_use]
    pub fn to_user(user: &str, data: impl Into<Value>) -> Self {
        Self::new("push", "user", user, data.into())
    }

    fn new(operation: &'static str, to: &str, name: &str, data: Value) -> Self {
        let key = format!("{:016x}{:016x}", random(), random());
        let members = [(to, name.into()), ("data", data), ("idempotency_key", key.into())];
        Self { operation, body: members.map(|(name, value)| (name.to_owned(), value)).into_iter().collect() }
    }

    /// With this key in place of a random one: what has the same key is published once.
    #[must_use]
    pub fn idempotency_key(self, key: &str) -> Self {
        self.with("idempotency_key", key.into())
    }

    /// With labels that travel along; an object.
    #[must_use]
    pub fn tags(self, tags: impl Into<Value>) -> Self {
        self.with("tags", tags.into())
    }

    /// Only behind this head of the log.
    #[must_use]
    pub fn expect(self, head: &Cursor) -> Self {
        self.with("expect", json!({"epoch": head.epoch, "offset": head.offset}))
    }

    /// Not handed to the apps of this session.
    #[must_use]
    pub fn exclude(self, session: &str) -> Self {
        self.with("exclude", session.into())
    }

    fn with(mut self, member: &str, value: Value) -> Self {
        self.body.insert(member.to_owned(), value);
        self
    }
}

/// The sessions that an operation is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ApiTarget {
    /// All sessions of a user.
    User(String),
    /// One session.
    Session(String),
    /// All sessions whose login has this label.
    Label {
        /// The label's name.
        name: String,
        /// The label's value.
        value: String,
    },
}

#[derive(Deserialize)]
struct Affected {
    sessions: usize,
}

#[derive(Deserialize)]
struct Results {
    results: Vec<EntryResult>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum EntryResult {
    Ok(ApiPublished),
    Error(Value),
}

impl From<HttpError> for ApiClientError {
    fn from(error: HttpError) -> Self {
        Self::Unreachable(error.to_string())
    }
}

impl ApiClient {
    /// A client of the gateway at this URL, like `https://gateway.example`.
    ///
    /// # Errors
    /// Where the URL is of no gateway.
    pub fn new(url: &str, key: Secret) -> Result<Self, ApiClientError> {
        let parsed: Uri = url.parse().map_err(|_| ApiClientError::Url)?;
        let is_web = matches!(parsed.scheme_str(), Some("https" | "http"));
        let has_user = parsed.authority().is_none_or(|authority| authority.as_str().contains('@'));
        if !is_web || has_user {
            return Err(ApiClientError::Url);
        }
        Ok(Self { client: HttpClient::new(), url: url.trim_end_matches('/').to_owned(), key })
    }

    /// Reads `/api/v1/<path>`.
    ///
    /// # Errors
    /// [`ApiClientError`] where it is refused, or there is no answer.
    pub async fn get(&self, path: &str) -> Result<Value, ApiClientError> {
        self.ask(Method::GET, path, Bytes::new()).await
    }

    /// Posts a body to `/api/v1/<path>`.
    ///
    /// # Errors
    /// As [`ApiClient::get`].
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, ApiClientError> {
        self.ask(Method::POST, path, body.to_string().into()).await
    }

    /// Publishes, and repeats where the outcome is unknown: it is published once.
    ///
    /// # Errors
    /// As [`ApiClient::get`].
    pub async fn publish(&self, publication: ApiPublication) -> Result<ApiPublished, ApiClientError> {
        self.repeat(publication.operation, &Value::Object(publication.body)).await
    }

    /// Publishes up to 1,000, each with an outcome of its own, in their order.
    ///
    /// # Errors
    /// As [`ApiClient::get`], about all of them.
    pub async fn batch(
        &self,
        publications: Vec<ApiPublication>,
    ) -> Result<Vec<Result<ApiPublished, ApiClientError>>, ApiClientError> {
        let entry = |it: ApiPublication| json!({ it.operation: it.body });
        let entries: Vec<Value> = publications.into_iter().map(entry).collect();
        let Results { results } = self.repeat("batch", &json!({"entries": entries})).await?;
        let outcome = |result| match result {
            EntryResult::Ok(published) => Ok(published),
            EntryResult::Error(problem) => Err(ApiClientError::of_problem(0, Some(&problem))),
        };
        Ok(results.into_iter().map(outcome).collect())
    }

    /// Reads a page of a log, also of an inbox (`user:<id>`): the newest publications, or those behind a position.
    ///
    /// # Errors
    /// As [`ApiClient::get`].
    pub async fn history(
        &self,
        channel: &str,
        after: Option<&Cursor>,
        limit: Option<usize>,
    ) -> Result<Value, ApiClientError> {
        let span = after.map(|head| json!({"after": {"epoch": head.epoch, "offset": head.offset}}));
        self.post("history", &json!({"channel": channel, "span": span, "limit": limit})).await
    }

    /// Lists sessions: a query such as `user=u42&limit=10`.
    ///
    /// # Errors
    /// As [`ApiClient::get`].
    pub async fn sessions(&self, query: &str) -> Result<Value, ApiClientError> {
        self.get(&format!("sessions?{query}")).await
    }

    /// Ends sessions, and gives how many.
    ///
    /// # Errors
    /// As [`ApiClient::get`].
    pub async fn kick(&self, target: &ApiTarget, message: Option<&str>) -> Result<usize, ApiClientError> {
        self.affected("kick", &json!({"target": target, "message": message})).await
    }

    /// Closes connections, and gives of how many sessions.
    ///
    /// # Errors
    /// As [`ApiClient::get`].
    pub async fn disconnect(&self, target: &ApiTarget) -> Result<usize, ApiClientError> {
        self.affected("disconnect", &json!({"target": target})).await
    }

    /// Makes the logins of a user void up to now, and gives how many sessions ended.
    ///
    /// # Errors
    /// As [`ApiClient::get`].
    pub async fn revoke_user(&self, user: &str) -> Result<usize, ApiClientError> {
        self.affected("revoke", &json!({"user": user})).await
    }

    async fn affected(&self, path: &str, body: &Value) -> Result<usize, ApiClientError> {
        let Affected { sessions } = read(self.post(path, body).await?)?;
        Ok(sessions)
    }

    /// Only for what has idempotency keys.
    async fn repeat<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, ApiClientError> {
        let mut tries = 1;
        loop {
            let error = match self.post(path, body).await {
                Ok(answer) => return read(answer),
                Err(error) => error,
            };
            let pause = error.pause(tries).filter(|_| tries < TRIES);
            let Some(pause) = pause else { return Err(error) };
            tokio::time::sleep(pause).await;
            tries += 1;
        }
    }

    async fn ask(&self, method: Method, path: &str, body: Bytes) -> Result<Value, ApiClientError> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}/api/v1/{path}", self.url))
            .header(AUTHORIZATION, format!("Bearer {}", self.key.expose()))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|_| ApiClientError::Key)?;
        let answer = self.client.send(request, ANSWER_BYTES_MAX, TIMEOUT).await?;
        let body: Option<Value> = serde_json::from_slice(&answer.body).ok();
        if !answer.status.is_success() {
            return Err(ApiClientError::of_problem(answer.status.as_u16(), body.as_ref()));
        }
        body.ok_or(ApiClientError::NoJson)
    }
}

impl ApiClientError {
    /// A refusal with this status; 0 where only the problem says it.
    fn of_problem(status: u16, problem: Option<&Value>) -> Self {
        let member = |name: &str| problem.and_then(|problem| problem.get(name));
        let text = |name: &str| member(name).and_then(Value::as_str).map(str::to_owned);
        let number = |name: &str| member(name).and_then(Value::as_u64);
        let head = member("head").and_then(|head| {
            let (epoch, offset) = (head["epoch"].as_str()?.to_owned(), head["offset"].as_u64()?);
            Some(Box::new(Cursor { epoch, offset, at: head["at"].as_u64() }))
        });
        let of_body = number("status").and_then(|status| u16::try_from(status).ok());
        Self::Refused {
            status: if status == 0 { of_body.unwrap_or(0) } else { status },
            code: text("code").unwrap_or_default(),
            detail: text("detail").unwrap_or_default(),
            field: text("field"),
            retry_after_ms: number("retry_after_ms"),
            head,
        }
    }

    /// How long to wait before the same is sent again; `None` where that does not help.
    fn pause(&self, tries: u32) -> Option<Duration> {
        let backoff = PAUSE.saturating_mul(1 << tries.saturating_sub(1).min(10));
        match self {
            Self::Unreachable(_) | Self::NoJson => Some(backoff),
            Self::Refused { status: 429 | 500.., retry_after_ms, .. } => {
                Some(retry_after_ms.map_or(backoff, Duration::from_millis).min(PAUSE_MAX))
            }
            Self::Refused { .. } | Self::Url | Self::Key => None,
        }
    }
}

fn read<T: DeserializeOwned>(answer: Value) -> Result<T, ApiClientError> {
    serde_json::from_value(answer).map_err(|_| ApiClientError::NoJson)
}

impl std::fmt::Debug for ApiClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiClient").field("url", &self.url).finish_non_exhaustive()
    }
}
