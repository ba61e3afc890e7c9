//! The headers that tell the daemon which remote a request is about.

use docks_proto::id::path_segment;
use docks_proto::path_encoding::encode_paths;
use docks_proto::routes;
use docks_proto::secret::Token;
use docks_proto::settings::{Profile, Target};
use http::{HeaderMap, HeaderValue, header};

use crate::failure::{Failure, Kind};

/// Builds the headers for a profile; `token` is only called for a remote without a profile.
///
/// # Errors
///
/// When a name, path or address cannot be sent in a header, or the token cannot be found.
pub(super) fn remote_headers(
    profile: &Profile,
    token: impl FnOnce() -> Result<Token, Failure>,
) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    let value = |text: &str| {
        HeaderValue::from_str(text)
            .map_err(|_| Failure::usage(format!("`{text}` cannot be sent in a header")))
    };
    match &profile.target {
        _ if !profile.adhoc => {
            headers.insert(routes::PROFILE, value(&profile.name)?);
        }
        Target::HarborJobs { dirs } => {
            headers.insert(routes::HARBOR_JOBS, value(&encode_paths(dirs))?);
        }
        Target::HarborServer { url } => {
            headers.insert(routes::HARBOR_SERVER, value(url)?);
            if let Some(key) = &profile.inline_token {
                headers.insert(header::AUTHORIZATION, key.authorization());
            }
        }
        Target::DocksApi { api_url, tenant } => {
            headers.insert(routes::API_URL, value(api_url)?);
            let tenant = path_segment(tenant)
                .map_err(|e| Failure::chain(Kind::Usage, "could not use the tenant", &e))?;
            headers.insert(routes::TENANT, value(&tenant)?);
            headers.insert(header::AUTHORIZATION, token()?.authorization());
        }
    }
    Ok(headers)
}
