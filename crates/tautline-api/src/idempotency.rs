//! The key that makes repeating harmless: the header `Idempotency-Key` (IETF draft), or a member of the body.

use std::borrow::Cow;

use http::HeaderMap;
use serde::{Deserialize, Deserializer, de::Error as _};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, Type},
};

use crate::problem::Problem;

const HEADER: &str = "idempotency-key";
const BYTES_MAX: usize = 255;

/// The key in a body.
pub(crate) struct IdempotencyKey<'a>(pub(crate) Cow<'a, str>);

/// The key in the header; `None` without one.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(key) = headers.get(HEADER) else { return Ok(None) };
    match key.to_str() {
        Ok(key) if fits(key) => Ok(Some(key)),
        _ => Err(Problem::bad_request(words())),
    }
}

fn fits(key: &str) -> bool {
    (1..=BYTES_MAX).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
}

fn words() -> String {
    format!("an idempotency key is 1 to {BYTES_MAX} visible ASCII characters")
}

impl<'de: 'a, 'a> Deserialize<'de> for IdempotencyKey<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let key = crate::names::text(deserializer)?;
        if fits(&key) { Ok(Self(key)) } else { Err(D::Error::custom(words())) }
    }
}

impl PartialSchema for IdempotencyKey<'_> {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some(
                "Makes repeating harmless: for as long as the log keeps the publication, the same key in the same \
                 channel is the same publication.",
            ))
            .min_length(Some(1))
            .max_length(Some(BYTES_MAX))
            .pattern(Some("^[!-~]+$"))
            .examples(["order-8812"])
            .into()
    }
}

impl ToSchema for IdempotencyKey<'_> {
    fn name() -> Cow<'static, str> {
        "IdempotencyKey".into()
    }
}
