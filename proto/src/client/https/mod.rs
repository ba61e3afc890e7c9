//! The transport to a remote: HTTPS to one origin, limited in time and size.

mod base_url;
mod cause;
mod content_coding;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, header};
use reqwest::{Response, Url, redirect};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use self::base_url::{is_loopback, parse_base_url};
use self::content_coding::BodyDecoder;
use super::certificate_verifier::why_untrusted;
use super::trust::{TrustSource, TrustVersion, tls_config};
use super::{Reply, Request, SendError};
use crate::secret::Token;
use crate::settings::TrustSettings;

/// Limits of a request.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Time to connect, including TLS.
    pub connect: Duration,
    /// Time to the end of the response; the public Python client waits as long.
    pub total: Duration,
    /// Period in which at least [`Limits::least_bytes`] of a body must arrive, compressed or not, so that a byte per
    /// second does not keep us waiting until `total`.
    pub window: Duration,
    /// See [`Limits::window`].
    pub least_bytes: u64,
    /// Maximum size of a response in bytes, after decompression.
    pub body_bytes: u64,
    /// How long an idle connection is kept for the next request.
    pub idle_connection: Duration,
    /// Whether `http://` to other machines is allowed: `insecure = "true"` in the profile.
    pub insecure: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            total: Duration::from_secs(30),
            window: Duration::from_secs(5),
            least_bytes: 512,
            body_bytes: 64 << 20,
            idle_connection: Duration::from_secs(90),
            insecure: false,
        }
    }
}

/// A client, and what it was built with.
type BuiltClient = (TrustVersion, reqwest::Client);

/// Sends requests to one origin and never to another: a redirect is returned as a response.
#[derive(Debug)]
pub struct HttpsTransport {
    base: Url,
    token: Option<Token>,
    limits: Limits,
    trust: TrustSource,
    client: Arc<Mutex<Option<BuiltClient>>>,
}

impl HttpsTransport {
    /// Creates a transport; it connects and reads certificates when a request is sent.
    ///
    /// Without `token`, the `Authorization` header of the request is sent, if it has one.
    ///
    /// # Errors
    ///
    /// [`SendError::InvalidRequest`] for an invalid URL, one with a user, query or fragment, or
    /// `http://` to another machine without [`Limits::insecure`].
    pub fn new(base_url: &str, token: Option<Token>, limits: Limits) -> Result<Self, SendError> {
        Ok(Self {
            base: parse_base_url(base_url, limits.insecure).map_err(SendError::InvalidRequest)?,
            token,
            limits,
            trust: TrustSource::default(),
            client: Arc::default(),
        })
    }

    /// Trusts other certificates than the system's. The function is called before every request, so
    /// changed settings are used at once.
    #[must_use]
    pub fn with_trust(
        mut self,
        settings: impl Fn() -> TrustSettings + Send + Sync + 'static,
    ) -> Self {
        self.trust = TrustSource::new(settings);
        self
    }

    /// Returns the origin, for messages.
    #[must_use]
    pub fn origin(&self) -> String {
        self.base.origin().ascii_serialization()
    }

    /// Sends a request and reads the whole response.
    ///
    /// # Errors
    ///
    /// [`SendError`].
    pub async fn send(&self, request: Request) -> Result<Reply, SendError> {
        let deadline = Instant::now() + self.limits.total;
        let url = self.url(&request.path)?;
        let mut headers = request.headers;
        if let Some(token) = &self.token {
            headers.insert(header::AUTHORIZATION, token.authorization());
        }
        if !headers.contains_key(header::ACCEPT) {
            headers.insert(
                header::ACCEPT,
                header::HeaderValue::from_static("application/json"),
            );
        }
        if !headers.contains_key(header::ACCEPT_ENCODING) {
            headers.insert(
                header::ACCEPT_ENCODING,
                header::HeaderValue::from_static(content_coding::ACCEPTED),
            );
        }
        let client = timeout_at(deadline, self.client())
            .await
            .map_err(|_| self.timeout(self.limits.total))??;
        let repeatable = request.method == Method::GET;
        let mut outgoing = client.request(request.method, url).headers(headers);
        if !request.body.is_empty() {
            outgoing = outgoing.body(request.body);
        }
        // The server can close an idle connection just when we use it, or send more than it
        // declared, which says nothing about this request; one that only reads may be repeated
        // (RFC 9110 §9.2.2).
        let second = outgoing.try_clone().filter(|_| repeatable);
        let exchange = async {
            match (outgoing.send().await, second) {
                (Err(error), Some(second)) if cause::may_be_of_earlier_response(&error) => {
                    second.send().await
                }
                (answer, _) => answer,
            }
        };
        let response = timeout_at(deadline, exchange)
            .await
            .map_err(|_| self.timeout(self.limits.total))?
            .map_err(|e| self.failure(e))?;
        let status = response.status();
        let mut headers = response.headers().clone();
        let body = self.body(response, &mut headers, deadline).await?;
        Ok(Reply {
            status,
            headers,
            body,
        })
    }

    async fn body(
        &self,
        mut response: Response,
        headers: &mut HeaderMap,
        deadline: Instant,
    ) -> Result<Bytes, SendError> {
        let limit = self.limits.body_bytes;
        if response.content_length().is_some_and(|n| n > limit) {
            return Err(self.too_large());
        }
        let mut body = BodyDecoder::new(headers, limit);
        let mut window_end = Instant::now() + self.limits.window;
        let mut window_bytes = 0;
        loop {
            let piece = timeout_at(deadline.min(window_end), response.chunk()).await;
            match piece {
                Ok(Ok(Some(piece))) => {
                    window_bytes += piece.len() as u64;
                    body.push(&piece).map_err(|e| self.undecodable(e))?;
                }
                Ok(Ok(None)) => return body.finish().map_err(|e| self.undecodable(e)),
                Ok(Err(e)) => return Err(self.failure(e)),
                Err(_) if Instant::now() >= deadline => {
                    return Err(self.timeout(self.limits.total));
                }
                Err(_) => {}
            }
            if Instant::now() >= window_end {
                if window_bytes < self.limits.least_bytes {
                    return Err(self.timeout(self.limits.window));
                }
                window_bytes = 0;
                window_end = Instant::now() + self.limits.window;
            }
        }
    }

    /// Joins base and path, and checks that parsing the URL changed neither.
    fn url(&self, path: &str) -> Result<Url, SendError> {
        let refuse =
            || SendError::InvalidRequest(format!("`{path}` is not a path below the base URL"));
        if !path.starts_with('/') {
            return Err(refuse());
        }
        let prefix = self.base.as_str().trim_end_matches('/');
        let joined = format!("{prefix}{path}");
        let url = Url::parse(&joined).map_err(|_| refuse())?;
        (url.as_str() == joined && url.origin() == self.base.origin())
            .then_some(url)
            .ok_or_else(refuse)
    }

    /// Builds reqwest's client for the first request: reading the system's certificates takes
    /// milliseconds, and we must start on a machine that has none.
    ///
    /// Files are read outside the runtime's threads, by one request at a time: a file system that
    /// hangs keeps one thread and no more.
    async fn client(&self) -> Result<reqwest::Client, SendError> {
        let mut cached = Arc::clone(&self.client).lock_owned().await;
        // Without TLS no certificates are needed.
        let tls = self.base.scheme() == "https";
        if !tls && let Some((_, client)) = &*cached {
            return Ok(client.clone());
        }
        let (trust, base, limits) = (self.trust.clone(), self.base.clone(), self.limits);
        let building = tokio::task::spawn_blocking(move || {
            let version = trust.current_version();
            if let Some((built_with, client)) = &*cached
                && *built_with == version
            {
                return Ok(client.clone());
            }
            let tls = tls.then(|| tls_config(&version.0)).transpose()?;
            let built = build(&base, &limits, tls).map_err(reqwest::Error::without_url)?;
            *cached = Some((version, built.clone()));
            Ok(built)
        });
        let built = match building.await {
            Ok(built) => built,
            Err(error) => Err(error.into()),
        };
        built.map_err(|source| SendError::Tls {
            to: self.origin(),
            source,
        })
    }

    fn failure(&self, error: reqwest::Error) -> SendError {
        let to = self.origin();
        // The URL contains the tenant, and the message names the origin anyway.
        let error = error.without_url();
        if let Some(tls) = cause::tls_error(&error) {
            // What rustls and reqwest say around it does not help anybody.
            let source = match why_untrusted(tls) {
                Some(why) => why.into(),
                None => error.into(),
            };
            return SendError::Tls { to, source };
        }
        if error.is_timeout() {
            return self.timeout(if error.is_connect() {
                self.limits.connect
            } else {
                self.limits.total
            });
        }
        if error.is_connect() {
            // The causes in between only repeat "error sending request".
            let source = cause::root_cause(&error).to_string().into();
            return SendError::Connect { to, source };
        }
        if error.is_builder() {
            return SendError::InvalidRequest(error.to_string());
        }
        let source = error.into();
        SendError::Broken { to, source }
    }

    fn undecodable(&self, error: std::io::Error) -> SendError {
        if error.kind() == std::io::ErrorKind::FileTooLarge {
            return self.too_large();
        }
        SendError::Broken {
            to: self.origin(),
            source: error.into(),
        }
    }

    fn timeout(&self, after: Duration) -> SendError {
        SendError::Timeout {
            to: self.origin(),
            after_ms: u64::try_from(after.as_millis()).unwrap_or(u64::MAX),
        }
    }

    fn too_large(&self) -> SendError {
        SendError::TooLarge {
            to: self.origin(),
            limit_bytes: self.limits.body_bytes,
        }
    }
}

fn build(
    base: &Url,
    limits: &Limits,
    tls: Option<rustls::ClientConfig>,
) -> reqwest::Result<reqwest::Client> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Another thread may have installed it meanwhile; it is the same provider.
        drop(rustls::crypto::ring::default_provider().install_default());
    }
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("docks/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .connect_timeout(limits.connect)
        .pool_idle_timeout(limits.idle_connection);
    if is_loopback(base) {
        // A system proxy would send the request and its token to another machine; so would a name
        // server with another `localhost`.
        builder = builder.no_proxy().resolve_to_addrs(
            "localhost",
            &[
                SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
                SocketAddr::from((Ipv6Addr::LOCALHOST, 0)),
            ],
        );
    }
    builder = match tls {
        Some(tls) => builder.tls_backend_preconfigured(tls),
        None => builder.tls_certs_only([]),
    };
    builder.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leaves_the_base() {
        let transport =
            HttpsTransport::new("https://api.example/v2/", None, Limits::default()).unwrap();
        let url = transport.url("/tenants/t/runs?limit=1").unwrap();
        assert_eq!(
            url.as_str(),
            "https://api.example/v2/tenants/t/runs?limit=1"
        );
        for bad in [
            "tenants",
            "@evil.example/",
            "/../admin",
            "/a/%2e%2e/b",
            "/a/./b",
            "/a\\..\\b",
            "/a b",
            "/a\r\nx: y",
        ] {
            assert!(transport.url(bad).is_err(), "{bad}");
        }
    }
}
