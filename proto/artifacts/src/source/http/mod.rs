//! `http(s)://` addresses.
//!
//! Redirects are followed only within one origin. The token is sent only to the origin of the
//! profile's API. Plain `http` is allowed only to loopback, and only if the API is on loopback too:
//! a remote elsewhere must not reach local services of this machine.

pub(super) mod error;
mod forward;
mod open_from;
mod response;

use std::sync::OnceLock;
use std::time::Duration;

use docks_proto::client::trust;
use docks_proto::secret::Token;
use docks_proto::settings::TrustSettings;
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, HeaderName, IF_NONE_MATCH, IF_RANGE, RANGE};
use reqwest::{StatusCode, Url, redirect};

use super::error::SourceError;
use super::open::{OpenRequest, OpenResponse};
use response::{resumed_response, whole_response};

pub use error::HttpError;
pub use forward::ForwardedResponse;

/// Redirects that are followed within one origin; more are treated as a loop.
const MAX_REDIRECTS: usize = 5;

/// Settings from the profile.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// The profile's API, if it has one.
    pub api_url: Option<String>,
    /// Its token, sent only to its own origin.
    pub token: Option<Token>,
    /// Whether the profile allows plain `http` to any host.
    pub insecure: bool,
    /// Certificates to trust for the API's own origin.
    pub trust: TrustSettings,
    /// A request fails after this long without data; there is no limit on a whole download.
    pub idle_timeout: Duration,
}

/// Downloads over HTTP.
#[derive(Debug)]
pub struct HttpSource {
    settings: HttpSettings,
    api: Option<Url>,
    /// Built on first use: reading root certificates costs more than copying most local files.
    client: OnceLock<reqwest::Client>,
    /// The same for the API's own origin, which may be trusted by another certificate.
    own_client: OnceLock<reqwest::Client>,
}

impl HttpSource {
    /// Creates the source; does not connect.
    pub fn new(settings: HttpSettings) -> Self {
        let api = settings.api_url.as_deref().and_then(|u| Url::parse(u).ok());
        Self {
            settings,
            api,
            client: OnceLock::new(),
            own_client: OnceLock::new(),
        }
    }

    /// Returns the API whose token is sent to an address, if any.
    pub(super) fn authenticating_api(&self, uri: &str) -> Option<&str> {
        let url = Url::parse(uri).ok()?;
        self.settings
            .api_url
            .as_deref()
            .filter(|_| self.is_own(&url))
    }

    fn is_own(&self, url: &Url) -> bool {
        let api = self.api.as_ref();
        api.is_some_and(|api| api.origin() == url.origin())
    }

    pub(super) async fn open(&self, request: OpenRequest<'_>) -> Result<OpenResponse, SourceError> {
        let (url, host) = self.parse_allowed(request.uri)?;
        if let Some(at) = request.resume {
            let range = format!("bytes={}-", at.offset_bytes);
            let headers = [(RANGE, range.as_str()), (IF_RANGE, at.version.tag())];
            let response = self.send(&url, &host, &headers).await?;
            if let Some(opened) = resumed_response(response, at, &host)? {
                return Ok(OpenResponse::Opened(opened));
            }
        }
        let unless = request.unless.map(|version| (IF_NONE_MATCH, version.tag()));
        let response = self.send(&url, &host, unless.as_slice()).await?;
        if unless.is_some() && response.status() == StatusCode::NOT_MODIFIED {
            return Ok(OpenResponse::Unchanged);
        }
        self.check_status(&url, response.status(), &host)?;
        Ok(OpenResponse::Opened(whole_response(response, host)))
    }

    fn parse_allowed(&self, uri: &str) -> Result<(Url, String), HttpError> {
        let url = Url::parse(uri).map_err(|_| HttpError::NotAUrl)?;
        let host = url.host_str().ok_or(HttpError::NotAUrl)?.to_owned();
        self.check_plain(&url, &host)?;
        Ok((url, host))
    }

    async fn send(
        &self,
        url: &Url,
        host: &str,
        headers: &[(HeaderName, &str)],
    ) -> Result<reqwest::Response, HttpError> {
        let mut request = self.client(self.is_own(url))?.get(url.clone());
        // Ranges and sizes count the bytes as they are stored.
        request = request.header(ACCEPT_ENCODING, "identity");
        if let Some(token) = self.settings.token.as_ref().filter(|_| self.is_own(url)) {
            request = request.header(AUTHORIZATION, token.authorization());
        }
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        request.send().await.map_err(|source| HttpError::Request {
            host: host.to_owned(),
            source: source.without_url(),
        })
    }

    fn check_plain(&self, url: &Url, host: &str) -> Result<(), HttpError> {
        let local_api = self.api.as_ref().is_none_or(is_loopback);
        if url.scheme() == "https" || self.settings.insecure || (local_api && is_loopback(url)) {
            return Ok(());
        }
        Err(HttpError::PlainHttp {
            host: host.to_owned(),
        })
    }

    fn check_status(&self, url: &Url, status: StatusCode, host: &str) -> Result<(), HttpError> {
        let (host, code) = (host.to_owned(), status.as_u16());
        if status.is_redirection() {
            return Err(HttpError::Redirect { host, status: code });
        }
        // Only 200 is a whole object: 204 has no content, 206 is a part.
        if status == StatusCode::OK {
            return Ok(());
        }
        let what = match code {
            401 | 403 if self.is_own(url) => {
                "; `docks auth status` shows whether you are signed in"
            }
            401 | 403 => {
                "; a signed address may have expired, and `docks runs trials --fresh` gets new ones"
            }
            _ => "",
        };
        Err(HttpError::Status {
            host,
            status: code,
            what,
        })
    }

    fn client(&self, own: bool) -> Result<&reqwest::Client, HttpError> {
        let trust =
            Some(&self.settings.trust).filter(|trust| own && **trust != TrustSettings::default());
        let cell = if trust.is_some() {
            &self.own_client
        } else {
            &self.client
        };
        if let Some(client) = cell.get() {
            return Ok(client);
        }
        let mut builder = client_builder(self.settings.idle_timeout)
            .no_gzip()
            .redirect(redirect::Policy::custom(within_origin));
        if let Some(trust) = trust {
            let config = trust::tls_config(trust).map_err(HttpError::Trust)?;
            builder = builder.tls_backend_preconfigured(config);
        }
        let made = builder.build().map_err(HttpError::Setup)?;
        Ok(cell.get_or_init(|| made))
    }
}

/// Returns whether two addresses have the same scheme, host and port.
pub fn same_origin(one: &str, other: &str) -> bool {
    match (Url::parse(one), Url::parse(other)) {
        (Ok(one), Ok(other)) => one.origin() == other.origin(),
        _ => false,
    }
}

/// Returns a client builder whose timeouts limit silence, not the whole download.
pub fn client_builder(idle_timeout: Duration) -> reqwest::ClientBuilder {
    // Fails only if a provider is already installed, which is fine.
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    reqwest::Client::builder()
        .user_agent(concat!("docks/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_secs(10).min(idle_timeout))
        .read_timeout(idle_timeout)
        .referer(false)
}

fn within_origin(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let same = attempt
        .previous()
        .last()
        .is_some_and(|from| from.origin() == attempt.url().origin());
    if same && attempt.previous().len() <= MAX_REDIRECTS {
        attempt.follow()
    } else {
        attempt.stop()
    }
}

fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else {
        return false;
    };
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || address
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}
