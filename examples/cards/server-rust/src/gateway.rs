//! What is asked of the gateway's server API.

use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::{failure::Failure, http::HttpClient};

const TIMEOUT: Duration = Duration::from_secs(3);

/// The server API of a gateway.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) http: HttpClient,
    pub(crate) url: String,
    pub(crate) key: String,
}

impl Gateway {
    /// Publishes; an outcome for each entry.
    pub(crate) async fn batch(&self, entries: &[Json]) -> Result<Vec<Json>, Failure> {
        let mut answer = self.ask("batch", &json!({"entries": entries})).await?;
        match answer["results"].take() {
            Json::Array(results) => Ok(results),
            _ => Err(Failure::Unavailable("the gateway has sent no results".to_owned())),
        }
    }

    /// What a channel has behind a place.
    pub(crate) async fn history(
        &self,
        channel: &str,
        epoch: &str,
        offset: i64,
    ) -> Result<Vec<Json>, Failure> {
        let after = json!({"epoch": epoch, "offset": offset});
        let mut answer = self.ask("history", &json!({"channel": channel, "span": {"after": after}})).await?;
        match answer["publications"].take() {
            Json::Array(publications) => Ok(publications),
            _ => Err(Failure::Unavailable("the gateway has sent no publications".to_owned())),
        }
    }

    async fn ask(&self, operation: &str, body: &Json) -> Result<Json, Failure> {
        let url = format!("{}/api/v1/{operation}", self.url);
        let (status, answer) = self.http.post(&url, Some(&self.key), body, TIMEOUT).await?;
        if status.is_success() {
            return Ok(answer);
        }
        let detail = answer["detail"].as_str().unwrap_or_default();
        Err(Failure::Unavailable(format!("{operation}: HTTP {status}: {detail}")))
    }
}
