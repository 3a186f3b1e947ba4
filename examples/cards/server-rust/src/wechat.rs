//! Subscribe messages (订阅消息) of WeChat.

use std::time::Duration;

use serde_json::{Value as Json, json};
use tokio::{sync::Mutex, time::Instant};
use tracing::warn;

use crate::{failure::Failure, http::HttpClient};

const TIMEOUT: Duration = Duration::from_secs(5);
/// A token is fetched anew so long before its end.
const TOKEN_MARGIN: Duration = Duration::from_secs(300);
/// A field `thing` takes 20 characters.
const THING_CHARS_MAX: usize = 20;
/// The member has refused, or has no consent left; and the token is not valid.
const REFUSED: i64 = 43101;
const TOKEN_ERRORS: [i64; 3] = [40001, 40014, 42001];

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Sent,
    /// Without consent.
    Refused,
    Failed,
    /// There was no answer: it may have been sent.
    Unknown,
}

/// An app of WeChat.
#[derive(Debug)]
pub(crate) struct WeChat {
    pub(crate) http: HttpClient,
    pub(crate) api: String,
    pub(crate) app_id: String,
    pub(crate) app_secret: String,
    pub(crate) template: String,
    pub(crate) token: Mutex<Option<(String, Instant)>>,
}

impl WeChat {
    /// Sends one message about a thing.
    pub(crate) async fn send(&self, openid: &str, about: &str) -> Outcome {
        let thing: String = about.chars().take(THING_CHARS_MAX).collect();
        let message = json!({
            "touser": openid,
            "template_id": self.template,
            "page": "pages/messages/messages",
            "data": {"thing1": {"value": thing}},
        });
        for is_last in [false, true] {
            let token = match self.token().await {
                Ok(token) => token,
                Err(failure) => {
                    warn!("{failure}");
                    return Outcome::Failed;
                }
            };
            let url = format!("{}/cgi-bin/message/subscribe/send?access_token={token}", self.api);
            let answer = match self.http.post(&url, None, &message, TIMEOUT).await {
                Ok((_, answer)) => answer,
                Err(failure) => {
                    warn!("subscribe message: {failure}");
                    return Outcome::Unknown;
                }
            };
            match answer["errcode"].as_i64() {
                Some(0) => return Outcome::Sent,
                Some(REFUSED) => return Outcome::Refused,
                // A token that is refused has sent nothing.
                Some(code) if TOKEN_ERRORS.contains(&code) && !is_last => *self.token.lock().await = None,
                _ => {
                    warn!("subscribe message: {answer}");
                    return Outcome::Failed;
                }
            }
        }
        Outcome::Failed
    }

    async fn token(&self) -> Result<String, Failure> {
        let mut token = self.token.lock().await;
        if let Some((text, until)) = &*token
            && Instant::now() < *until
        {
            return Ok(text.clone());
        }
        let request = json!({
            "grant_type": "client_credential",
            "appid": self.app_id,
            "secret": self.app_secret,
            "force_refresh": false,
        });
        let url = format!("{}/cgi-bin/stable_token", self.api);
        let (_, answer): (_, Json) = self.http.post(&url, None, &request, TIMEOUT).await?;
        let Some(text) = answer["access_token"].as_str() else {
            return Err(Failure::Unavailable(format!("no access token: {answer}")));
        };
        let life = Duration::from_secs(answer["expires_in"].as_u64().unwrap_or_default());
        *token = Some((text.to_owned(), Instant::now() + life.saturating_sub(TOKEN_MARGIN)));
        Ok(text.to_owned())
    }
}
