//! Extracts from a request which remote it selects, the ids in its path and the parameters in its query.

use axum::extract::{FromRequestParts, Path as UrlPath};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use docks_proto::id;
use docks_proto::path_encoding::decode_paths;
use docks_proto::query::{Parameters, QueryError};
use docks_proto::routes;
use docks_proto::secret::Token;
use serde::de::DeserializeOwned;

use super::error::ApiError;
use crate::registry::RemoteSelector;

/// Reads which remote a request selects.
///
/// # Errors
///
/// [`ApiError::BadRequest`] for headers that contradict each other or are not text.
pub(super) fn remote_selector(headers: &HeaderMap) -> Result<RemoteSelector, ApiError> {
    let profile = single_value(headers, routes::PROFILE)?;
    let url = single_value(headers, routes::API_URL)?;
    let jobs = single_value(headers, routes::HARBOR_JOBS)?;
    match (profile, url, jobs) {
        (None, None, None) => Ok(RemoteSelector::DefaultProfile),
        (Some(name), None, None) => Ok(RemoteSelector::Profile(name.to_owned())),
        (None, Some(url), None) => {
            let token = single_value(headers, header::AUTHORIZATION.as_str())?;
            Ok(RemoteSelector::DocksApi {
                url: url.to_owned(),
                token: token.and_then(Token::new),
            })
        }
        (None, None, Some(encoded)) => Ok(RemoteSelector::HarborJobs(decode_paths(encoded))),
        _ => Err(ApiError::BadRequest(format!(
            "only one of {}, {} and {} may be given",
            routes::PROFILE,
            routes::API_URL,
            routes::HARBOR_JOBS
        ))),
    }
}

/// Reads a header that may be given once; an empty value counts as absent.
fn single_value<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, ApiError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(ApiError::BadRequest(format!("{name} is given twice")));
    }
    let text = value
        .to_str()
        .map_err(|_| ApiError::BadRequest(format!("{name} must be visible ASCII")))?;
    Ok(Some(text).filter(|text| !text.is_empty()))
}

/// The parameters in the query of one of the daemon's own routes.
///
/// axum's `Query` decodes before it separates values, so it could not tell a comma between two runs from one
/// in the name of a run; [`Parameters`] can, and the CLI writes what it reads.
pub(super) struct QueryParameters(pub(super) Parameters);

impl<S: Send + Sync> FromRequestParts<S> for QueryParameters {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let query = parts.uri.query().unwrap_or("");
        Ok(Self(Parameters::parse(query).map_err(bad_parameter)?))
    }
}

/// Refuses a parameter of one of the daemon's own routes with 400. The lists of the Docks API respond
/// with 422, as a Docks API does.
pub(super) fn bad_parameter(error: QueryError) -> ApiError {
    ApiError::BadRequest(error.to_string())
}

/// The ids in a path, decoded and checked.
pub(super) struct PathIds<T>(pub(super) T);

/// Ids that can be checked one by one.
pub(super) trait Validate {
    /// Checks that each id can be one.
    fn validate(&self) -> Result<(), id::InvalidId>;
}

impl Validate for String {
    fn validate(&self) -> Result<(), id::InvalidId> {
        id::validate(self)
    }
}

impl Validate for (String, String) {
    fn validate(&self) -> Result<(), id::InvalidId> {
        id::validate(&self.0).and_then(|()| id::validate(&self.1))
    }
}

impl Validate for (String, String, String) {
    fn validate(&self) -> Result<(), id::InvalidId> {
        id::validate(&self.0)
            .and_then(|()| id::validate(&self.1))
            .and_then(|()| id::validate(&self.2))
    }
}

impl<T, S> FromRequestParts<S> for PathIds<T>
where
    T: Validate + DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let UrlPath(ids) = UrlPath::<T>::from_request_parts(parts, state)
            .await
            .map_err(|_| ApiError::BadRequest("an id in the path is not valid UTF-8".to_owned()))?;
        ids.validate()?;
        Ok(Self(ids))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;

    fn select(pairs: &[(&'static str, &'static str)]) -> Result<RemoteSelector, ApiError> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let value = HeaderValue::from_static(value);
            headers.append(HeaderName::from_static(name), value);
        }
        remote_selector(&headers)
    }

    #[test]
    fn each_header_selects_its_kind_of_remote() {
        use RemoteSelector as S;
        assert!(matches!(select(&[]), Ok(S::DefaultProfile)));
        assert!(matches!(select(&[("docks-profile", "p")]), Ok(S::Profile(p)) if p == "p"));
        let api = select(&[
            ("docks-api-url", "https://a"),
            ("authorization", "Bearer t"),
        ]);
        assert!(matches!(api, Ok(S::DocksApi { token: Some(_), .. })));
        let jobs = select(&[("docks-harbor-jobs", "%2Fa%20b%FF,%2Fc%2Cd")]);
        assert!(
            matches!(jobs, Ok(S::HarborJobs(dirs)) if dirs[0].as_os_str().as_bytes() == b"/a b\xff" && dirs[1] == Path::new("/c,d"))
        );
    }

    #[test]
    fn contradicting_headers_are_refused() {
        assert!(select(&[("docks-profile", "p"), ("docks-api-url", "https://a")]).is_err());
        assert!(select(&[("docks-profile", "p"), ("docks-profile", "q")]).is_err());
    }
}
