//! Parameters in the path and the query of a request.

use axum::extract::{FromRequestParts, Path, Query};
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::{problem::Problem, request::SharedHost};

/// The parameter in the path.
pub(crate) struct InPath<T>(pub(crate) T);

/// The parameters in the query.
pub(crate) struct InQuery<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<SharedHost> for InPath<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, host: &SharedHost) -> Result<Self, Problem> {
        let path = Path::from_request_parts(parts, host).await;
        path.map(|Path(value)| Self(value)).map_err(|refused| Problem::bad_request(refused.body_text()))
    }
}

impl<T: DeserializeOwned> FromRequestParts<SharedHost> for InQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &SharedHost) -> Result<Self, Problem> {
        let query = Query::try_from_uri(&parts.uri);
        query.map(|Query(value)| Self(value)).map_err(|refused| Problem::bad_request(refused.body_text()))
    }
}
