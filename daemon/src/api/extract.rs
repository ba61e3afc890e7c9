//! Extracts from a request which remote it selects, the ids in its path and the parameters in its query.

use std::borrow::Cow;

use axum::extract::{FromRequestParts, Path as UrlPath};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use docks_proto::id;
use docks_proto::path_encoding::decode_paths;
use docks_proto::query::{Parameters, QueryError};
use docks_proto::routes;
use docks_proto::secret::Token;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;

use super::error::ApiError;
use crate::registry::{RemoteRequest, RemoteSelector};

/// Reads which remote a request means, and who asks.
///
/// `tenant` is the one in the path or the query, if there is one; else it is in a header.
///
/// # Errors
///
/// [`ApiError::BadRequest`] for headers that contradict each other or are not text.
pub(super) fn remote_request(
    headers: &HeaderMap,
    tenant: Option<&str>,
) -> Result<RemoteRequest, ApiError> {
    let named = single_value(headers, routes::TENANT)?;
    let named = named.map(|text| percent_decode_str(text).decode_utf8_lossy());
    if let (Some(tenant), Some(named)) = (tenant, &named)
        && tenant != named
    {
        return Err(ApiError::BadRequest(format!(
            "the request names two tenants: `{tenant}` and, in {}, `{named}`",
            routes::TENANT
        )));
    }
    let authorization = single_value(headers, header::AUTHORIZATION.as_str())?;
    let token = match authorization {
        None => None,
        Some(text) => Some(Token::new(text).ok_or_else(|| {
            ApiError::BadRequest("Authorization must be `Bearer` and a token".to_owned())
        })?),
    };
    Ok(RemoteRequest {
        selector: remote_selector(headers)?,
        tenant: tenant.map(str::to_owned).or(named.map(Cow::into_owned)),
        token,
    })
}

/// Reads which remote a request selects.
///
/// # Errors
///
/// [`ApiError::BadRequest`] for headers that contradict each other or are not text.
fn remote_selector(headers: &HeaderMap) -> Result<RemoteSelector, ApiError> {
    let profile = single_value(headers, routes::PROFILE)?;
    let url = single_value(headers, routes::API_URL)?;
    let jobs = single_value(headers, routes::HARBOR_JOBS)?;
    let server = single_value(headers, routes::HARBOR_SERVER)?;
    match (profile, url, jobs, server) {
        (None, None, None, None) => Ok(RemoteSelector::DefaultProfile),
        (Some(name), None, None, None) => Ok(RemoteSelector::Profile(name.to_owned())),
        (None, Some(url), None, None) => Ok(RemoteSelector::DocksApi(url.to_owned())),
        (None, None, Some(encoded), None) => Ok(RemoteSelector::HarborJobs(decode_paths(encoded))),
        (None, None, None, Some(url)) => Ok(RemoteSelector::HarborServer(url.to_owned())),
        _ => Err(ApiError::BadRequest(format!(
            "only one of {}, {}, {} and {} may be given",
            routes::PROFILE,
            routes::API_URL,
            routes::HARBOR_JOBS,
            routes::HARBOR_SERVER
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

    fn request(
        pairs: &[(&'static str, &'static str)],
        tenant: Option<&str>,
    ) -> Result<RemoteRequest, ApiError> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let value = HeaderValue::from_static(value);
            headers.append(HeaderName::from_static(name), value);
        }
        remote_request(&headers, tenant)
    }

    fn select(pairs: &[(&'static str, &'static str)]) -> Result<RemoteSelector, ApiError> {
        request(pairs, None).map(|request| request.selector)
    }

    #[test]
    fn each_header_selects_its_kind_of_remote() {
        use RemoteSelector as S;
        assert!(matches!(select(&[]), Ok(S::DefaultProfile)));
        assert!(matches!(select(&[("docks-profile", "p")]), Ok(S::Profile(p)) if p == "p"));
        let api = select(&[("docks-api-url", "https://a")]);
        assert!(matches!(api, Ok(S::DocksApi(url)) if url == "https://a"));
        let jobs = select(&[("docks-harbor-jobs", "%2Fa%20b%FF,%2Fc%2Cd")]);
        assert!(
            matches!(jobs, Ok(S::HarborJobs(dirs)) if dirs[0].as_os_str().as_bytes() == b"/a b\xff" && dirs[1] == Path::new("/c,d"))
        );
    }

    #[test]
    fn a_token_and_a_tenant_count_whichever_way_the_remote_is_named() {
        for named in [
            &[][..],
            &[("docks-profile", "p")],
            &[("docks-api-url", "https://a")],
        ] {
            let with = |more: &[(&'static str, &'static str)], tenant| {
                request(&[named, more].concat(), tenant)
            };
            let token = [("authorization", "Bearer t"), ("docks-tenant", "ten")];
            let found = with(&token, None).unwrap();
            assert_eq!(found.token.unwrap().expose(), "t");
            assert_eq!(found.tenant.as_deref(), Some("ten"));
            assert!(with(&token, Some("ten")).is_ok());
            assert!(with(&token, Some("other")).is_err());
            assert!(with(&[("authorization", "Bearer ")], None).is_err());
        }
    }

    #[test]
    fn contradicting_headers_are_refused() {
        assert!(select(&[("docks-profile", "p"), ("docks-api-url", "https://a")]).is_err());
        assert!(select(&[("docks-profile", "p"), ("docks-profile", "q")]).is_err());
    }
}
