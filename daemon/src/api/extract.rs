//! What a request says of itself besides its path: which remote, how fresh, which ids.

use axum::extract::{FromRequestParts, Path as UrlPath};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri, header};
use docks_proto::id;
use docks_proto::path_encoding::decode_paths;
use docks_proto::query::{Parameters, QueryError};
use docks_proto::routes;
use docks_proto::secret::Token;
use serde::de::DeserializeOwned;

use super::error::ApiError;
use crate::registry::RemoteSelector;

/// Reads which remote is meant.
///
/// # Errors
///
/// [`ApiError::Request`] for headers that contradict each other or hold no text.
pub(super) fn pick(headers: &HeaderMap) -> Result<RemoteSelector, ApiError> {
    let profile = one(headers, routes::PROFILE)?;
    let url = one(headers, routes::API_URL)?;
    let jobs = one(headers, routes::HARBOR_JOBS)?;
    match (profile, url, jobs) {
        (None, None, None) => Ok(RemoteSelector::DefaultProfile),
        (Some(name), None, None) => Ok(RemoteSelector::Profile(name.to_owned())),
        (None, Some(url), None) => Ok(RemoteSelector::DocksApi {
            url: url.to_owned(),
            token: one(headers, header::AUTHORIZATION.as_str())?.and_then(Token::new),
        }),
        (None, None, Some(encoded)) => Ok(RemoteSelector::HarborJobs(decode_paths(encoded))),
        _ => Err(ApiError::Request(format!(
            "only one of {}, {} and {} can pick the remote",
            routes::PROFILE,
            routes::API_URL,
            routes::HARBOR_JOBS
        ))),
    }
}

fn one<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, ApiError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(ApiError::Request(format!("{name} is there twice")));
    }
    let text = value.to_str().map_err(|_| {
        ApiError::Request(format!("{name} holds something else than visible ASCII"))
    })?;
    Ok(Some(text).filter(|text| !text.is_empty()))
}

/// The ids in a path, decoded and checked.
pub(super) struct Ids<T>(pub(super) T);

/// Ids that can be checked one by one.
pub(super) trait Checked {
    /// Checks them all.
    fn check(&self) -> Result<(), id::InvalidId>;
}

impl Checked for String {
    fn check(&self) -> Result<(), id::InvalidId> {
        id::validate(self)
    }
}

impl Checked for (String, String) {
    fn check(&self) -> Result<(), id::InvalidId> {
        id::validate(&self.0).and_then(|()| id::validate(&self.1))
    }
}

impl Checked for (String, String, String) {
    fn check(&self) -> Result<(), id::InvalidId> {
        id::validate(&self.0)
            .and_then(|()| id::validate(&self.1))
            .and_then(|()| id::validate(&self.2))
    }
}

impl<T, S> FromRequestParts<S> for Ids<T>
where
    T: Checked + DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let UrlPath(ids) = UrlPath::<T>::from_request_parts(parts, state)
            .await
            .map_err(|_| ApiError::Request("an id in the path is no text".to_owned()))?;
        ids.check()?;
        Ok(Self(ids))
    }
}

/// Parses the query string of one of the daemon's own paths.
pub(super) fn parameters(uri: &Uri) -> Result<Parameters, ApiError> {
    Parameters::parse(uri.query().unwrap_or("")).map_err(bad_parameter)
}

/// Refuses a parameter of one of the daemon's own paths with 400; the lists of the Docks API answer
/// 422, as a Docks API does.
pub(super) fn bad_parameter(error: QueryError) -> ApiError {
    ApiError::Request(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;

    use super::*;
    use axum::http::{HeaderName, HeaderValue};

    fn of(pairs: &[(&'static str, &'static str)]) -> Result<RemoteSelector, ApiError> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let value = HeaderValue::from_static(value);
            headers.append(HeaderName::from_static(name), value);
        }
        pick(&headers)
    }

    #[test]
    fn each_header_picks_its_kind_of_remote() {
        assert!(matches!(of(&[]), Ok(RemoteSelector::DefaultProfile)));
        assert!(
            matches!(of(&[("docks-profile", "p")]), Ok(RemoteSelector::Profile(p)) if p == "p")
        );
        let api = of(&[
            ("docks-api-url", "https://a"),
            ("authorization", "Bearer t"),
        ]);
        assert!(matches!(
            api,
            Ok(RemoteSelector::DocksApi { token: Some(_), .. })
        ));
        let jobs = of(&[("docks-harbor-jobs", "%2Fa%20b%FF,%2Fc%2Cd")]);
        assert!(
            matches!(jobs, Ok(RemoteSelector::HarborJobs(dirs)) if dirs[0].as_os_str().as_bytes() == b"/a b\xff" && dirs[1] == Path::new("/c,d"))
        );
    }

    #[test]
    fn contradictions_are_refused() {
        assert!(of(&[("docks-profile", "p"), ("docks-api-url", "https://a")]).is_err());
        assert!(of(&[("docks-profile", "p"), ("docks-profile", "q")]).is_err());
    }
}
