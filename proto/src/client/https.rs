//! The transport to a remote: HTTPS, bounded in time and size, bound to one origin.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Method, header};
use reqwest::{Response, Url, redirect};
use tokio::time::{Instant, timeout_at};

use super::ca_file::{self, Roots, RootsVersion};
use super::{Reply, Request, SendError};
use crate::secret::Token;

/// What an answer may cost.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Until the connection stands, TLS included.
    pub connect: Duration,
    /// Until the whole answer is there; the public Python client waits as long.
    pub total: Duration,
    /// A body that brings fewer than [`Limits::least_bytes`] in this time is given up,
    /// so that a byte per second does not hold us until `total`.
    pub window: Duration,
    /// See [`Limits::window`].
    pub least_bytes: u64,
    /// Bytes of an answer at most, after decompression.
    pub body_bytes: u64,
    /// Allows `http://` to other machines; the profile says `insecure = "true"`.
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
            insecure: false,
        }
    }
}

/// Speaks HTTP to one origin and never to another: redirects are answers here.
#[derive(Debug)]
pub struct HttpsTransport {
    base: Url,
    token: Option<Token>,
    limits: Limits,
    roots: Roots,
    client: Mutex<Option<(RootsVersion, reqwest::Client)>>,
}

impl HttpsTransport {
    /// Takes the base URL; nothing is connected and no certificate is read yet.
    ///
    /// Without `token`, an `Authorization` header of the request itself is sent.
    ///
    /// # Errors
    ///
    /// [`SendError::InvalidRequest`] for a URL that is none, has a user, query or
    /// fragment, or is `http://` to another machine without [`Limits::insecure`].
    pub fn new(base_url: &str, token: Option<Token>, limits: Limits) -> Result<Self, SendError> {
        Ok(Self {
            base: checked_base(base_url, limits.insecure).map_err(SendError::InvalidRequest)?,
            token,
            limits,
            roots: Roots::default(),
            client: Mutex::default(),
        })
    }

    /// Trusts the certificates in a file besides the system's; asked before every request, so
    /// that another file counts at once.
    #[must_use]
    pub fn with_ca_file(
        mut self,
        file: impl Fn() -> Option<PathBuf> + Send + Sync + 'static,
    ) -> Self {
        self.roots = Roots::of(file);
        self
    }

    /// Returns the origin, for messages.
    #[must_use]
    pub fn origin(&self) -> String {
        self.base.origin().ascii_serialization()
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    ///
    /// Every kind of [`SendError`].
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
        let (client, again) = (self.client()?, request.method == Method::GET);
        let mut outgoing = client.request(request.method, url).headers(headers);
        if !request.body.is_empty() {
            outgoing = outgoing.body(request.body);
        }
        // A kept connection can be closed by the other side just as we use it, which says
        // nothing about the remote; what only reads may be asked again (RFC 9110 §9.2.2).
        let second = outgoing.try_clone().filter(|_| again);
        let asked = async {
            match (outgoing.send().await, second) {
                (Err(error), Some(second)) if broke_off(&error) => second.send().await,
                (answer, _) => answer,
            }
        };
        let response = timeout_at(deadline, asked)
            .await
            .map_err(|_| self.timeout(self.limits.total))?
            .map_err(|e| self.failure(e))?;
        let status = response.status();
        let headers = response.headers().clone();
        let body = self.body(response, deadline).await?;
        Ok(Reply {
            status,
            headers,
            body,
        })
    }

    async fn body(&self, mut response: Response, deadline: Instant) -> Result<Bytes, SendError> {
        let limit = self.limits.body_bytes;
        if response.content_length().is_some_and(|n| n > limit) {
            return Err(self.too_large());
        }
        let mut body = BytesMut::new();
        let mut window_end = Instant::now() + self.limits.window;
        let mut window_bytes = 0;
        loop {
            let piece = timeout_at(deadline.min(window_end), response.chunk()).await;
            match piece {
                Ok(Ok(Some(piece))) => {
                    if (body.len() + piece.len()) as u64 > limit {
                        return Err(self.too_large());
                    }
                    window_bytes += piece.len() as u64;
                    body.extend_from_slice(&piece);
                }
                Ok(Ok(None)) => return Ok(body.freeze()),
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

    /// Joins base and path, and makes sure that URL parsing changed neither.
    fn url(&self, path: &str) -> Result<Url, SendError> {
        let refuse =
            || SendError::InvalidRequest(format!("`{path}` is no path below the base URL"));
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

    /// Builds reqwest's client at the first request: reading the system's certificates takes
    /// milliseconds, and a machine without any must still start.
    fn client(&self) -> Result<reqwest::Client, SendError> {
        // No TLS will be spoken without it, so no certificates are looked for.
        let tls = self.base.scheme() == "https";
        let version = if tls { self.roots.now() } else { None };
        let mut kept = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((built_with, client)) = &*kept
            && *built_with == version
        {
            return Ok(client.clone());
        }
        let failed = |source| SendError::Tls {
            to: self.origin(),
            source,
        };
        let extra = ca_file::read(version.as_ref()).map_err(failed)?;
        let built = build(&self.base, &self.limits, extra)
            .map_err(|error| failed(error.without_url().into()))?;
        *kept = Some((version, built.clone()));
        Ok(built)
    }

    fn failure(&self, error: reqwest::Error) -> SendError {
        let to = self.origin();
        // The URL holds the tenant, and every message names the origin anyway.
        let error = error.without_url();
        if holds_tls_error(&error) {
            let source = error.into();
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
            // What lies between says "error sending request" three times over.
            let source = root(&error).to_string().into();
            return SendError::Connect { to, source };
        }
        if error.is_builder() {
            return SendError::InvalidRequest(error.to_string());
        }
        let source = error.into();
        SendError::Broken { to, source }
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

/// Returns the first cause of an error.
fn root<'a>(error: &'a (dyn std::error::Error + 'static)) -> &'a (dyn std::error::Error + 'static) {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause
}

fn build(
    base: &Url,
    limits: &Limits,
    extra: Vec<reqwest::Certificate>,
) -> reqwest::Result<reqwest::Client> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Losing a race is fine: the winner installed the same provider.
        drop(rustls::crypto::ring::default_provider().install_default());
    }
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("docks/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .gzip(true)
        .connect_timeout(limits.connect)
        .pool_idle_timeout(Duration::from_secs(90));
    if is_loopback(base) {
        // A system proxy would take the request, and the token, off this machine; so would a
        // name server that knows another `localhost`.
        builder = builder.no_proxy().resolve_to_addrs(
            "localhost",
            &[
                SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
                SocketAddr::from((Ipv6Addr::LOCALHOST, 0)),
            ],
        );
    }
    if base.scheme() == "http" {
        // No TLS will be spoken, so no certificates are read.
        builder = builder.tls_certs_only([]);
    } else if !extra.is_empty() {
        builder = builder.tls_certs_merge(extra);
    }
    builder.build()
}

fn checked_base(text: &str, insecure: bool) -> Result<Url, String> {
    let url = Url::parse(text.trim()).map_err(|e| format!("the base URL is none: {e}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the base URL must not hold a user or password".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("the base URL must not hold a query or fragment".to_owned());
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err("the base URL names no host".to_owned());
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if insecure || is_loopback(&url) => Ok(url),
        "http" => Err(format!(
            "`http://` would show the token to everyone on the way to {}; use https, or set insecure = \"true\" in the profile",
            url.host_str().unwrap_or_default()
        )),
        other => Err(format!("the base URL must be https, not {other}")),
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host
        .strip_prefix('[')
        .and_then(|h| h.strip_suffix(']'))
        .unwrap_or(host);
    bare == "localhost"
        || bare
            .parse::<IpAddr>()
            .is_ok_and(|ip| ip.to_canonical().is_loopback())
}

/// Tells whether the other side closed the connection before it answered.
fn broke_off(error: &reqwest::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    let mut next = std::error::Error::source(error).filter(|_| !error.is_connect());
    while let Some(cause) = next {
        if let Some(hyper) = cause.downcast_ref::<hyper::Error>()
            && (hyper.is_incomplete_message() || hyper.is_canceled())
        {
            return true;
        }
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            return matches!(io.kind(), ConnectionReset | BrokenPipe | ConnectionAborted);
        }
        next = cause.source();
    }
    false
}

/// Looks through the chain of causes; an `io::Error` hides what it carries from `source`.
fn holds_tls_error(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<rustls::Error>() {
            return true;
        }
        let carried = error
            .downcast_ref::<std::io::Error>()
            .and_then(|io| io.get_ref());
        if carried.is_some_and(|inner| holds_tls_error(inner)) {
            return true;
        }
        next = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> bool {
        HttpsTransport::new(url, None, Limits::default()).is_err()
    }

    #[test]
    fn only_https_or_loopback_is_a_base() {
        for good in [
            "https://api.example",
            "https://api.example/prefix/",
            "http://127.0.0.1:8000",
            "http://127.9.9.9",
            "http://[::1]:8000",
            "http://localhost:8000",
        ] {
            assert!(!refused(good), "{good}");
        }
        for bad in [
            "http://api.example",
            "http://localhost.example",
            "http://10.0.0.1",
            "http://127.0.0.1.example",
            "https://user@api.example",
            "https://user:pass@api.example",
            "https://api.example?x=1",
            "https://api.example#x",
            "ftp://127.0.0.1",
            "file:///etc/passwd",
            "api.example",
            "",
        ] {
            assert!(refused(bad), "{bad}");
        }
        let insecure = Limits {
            insecure: true,
            ..Limits::default()
        };
        assert!(HttpsTransport::new("http://api.example", None, insecure).is_ok());
    }

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
