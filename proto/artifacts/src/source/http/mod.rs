//! `http(s)://` addresses.
//!
//! Redirects are not followed. The token is sent only to the origin of the profile's API. Plain `http`, and hosts that
//! have no public address, are allowed only there and where the profile says so
//! (`destination`).

mod destination;
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
use destination::{Destination, NotPublic, PublicResolver, is_named, is_public, literal};
use response::{resumed_response, whole_response};

pub use error::HttpError;
pub use forward::ForwardedResponse;

/// Settings from the profile.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// The profile's API, if it has one.
    pub api_url: Option<String>,
    /// Its token, sent only to its own origin.
    pub token: Option<Token>,
    /// Further hosts that may be asked over plain `http` and at local addresses, each `HOST` or `HOST:PORT`.
    pub hosts: Vec<String>,
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
    /// The same for hosts that the profile knows nothing of, with what resolves their names.
    public_client: OnceLock<reqwest::Client>,
    public_names: PublicResolver,
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
            public_client: OnceLock::new(),
            public_names: PublicResolver::default(),
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
        if self.destination(&url) == Destination::Other {
            self.check_other(&url, &host)?;
        }
        Ok((url, host))
    }

    async fn send(
        &self,
        url: &Url,
        host: &str,
        headers: &[(HeaderName, &str)],
    ) -> Result<reqwest::Response, HttpError> {
        let mut request = self.client(self.destination(url))?.get(url.clone());
        // Ranges and sizes count the bytes as they are stored.
        request = request.header(ACCEPT_ENCODING, "identity");
        if let Some(token) = self.settings.token.as_ref().filter(|_| self.is_own(url)) {
            request = request.header(AUTHORIZATION, token.authorization());
        }
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        let host = host.to_owned();
        request
            .send()
            .await
            .map_err(|source| match is_not_public(&source) {
                true => HttpError::NotPublic { host },
                false => HttpError::Request {
                    host,
                    source: source.without_url(),
                },
            })
    }

    fn destination(&self, url: &Url) -> Destination {
        if self.is_own(url) {
            Destination::Own
        } else if is_named(&self.settings.hosts, url) {
            Destination::Named
        } else {
            Destination::Other
        }
    }

    /// Checks the address of a host that the profile knows nothing of. Its name is checked when it is resolved.
    fn check_other(&self, url: &Url, host: &str) -> Result<(), HttpError> {
        let host = host.to_owned();
        if url.scheme() != "https" {
            return Err(HttpError::PlainHttp { host });
        }
        let is_allowed = match literal(url) {
            Some(address) => is_public(address),
            None => self.public_names.guard(&host),
        };
        match is_allowed {
            true => Ok(()),
            false => Err(HttpError::NotPublic { host }),
        }
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

    fn client(&self, destination: Destination) -> Result<&reqwest::Client, HttpError> {
        let is_own = destination == Destination::Own;
        let trust = Some(&self.settings.trust)
            .filter(|trust| is_own && **trust != TrustSettings::default());
        let cell = match destination {
            Destination::Own if trust.is_some() => &self.own_client,
            Destination::Own | Destination::Named => &self.client,
            Destination::Other => &self.public_client,
        };
        if let Some(client) = cell.get() {
            return Ok(client);
        }
        let mut builder = client_builder(self.settings.idle_timeout)
            .no_gzip()
            .redirect(redirect::Policy::none());
        if let Some(trust) = trust {
            let config = trust::tls_config(trust).map_err(HttpError::Trust)?;
            builder = builder.tls_backend_preconfigured(config);
        }
        if destination == Destination::Other {
            builder = builder.dns_resolver(self.public_names.clone());
        }
        let made = builder.build().map_err(HttpError::Setup)?;
        Ok(cell.get_or_init(|| made))
    }
}

/// Whether a request failed because its host has no public address.
fn is_not_public(error: &reqwest::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(found) = cause {
        if found.is::<NotPublic>() {
            return true;
        }
        cause = found.source();
    }
    false
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
