//! The Docks API over HTTPS, as a [`Remote`].
//!
//! Turns the engine's questions into single requests and refuses every answer
//! that is none. Paging, pace and retries are the engine's.

use std::sync::Arc;

use async_trait::async_trait;
use docks_proto::client::{HttpsTransport, Reply, Request, SendError, body, retry_after};
use docks_proto::error::parse_error_body;
use docks_proto::id::InvalidId;
use docks_proto::object::{RawList, RawObject};
use docks_proto::routes::{Action, RunKind, TenantRoutes};
use docks_proto::secret::Token;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::{Fetched, Page, PageRequest, Remote, RemoteError, RemoteProperties, Validator};

/// Where the token of a remote comes from.
///
/// Asked before every request, off the runtime's threads, so that a new login
/// is used at once and a logout stops us.
pub trait TokenSource: Send + Sync + 'static {
    /// Returns the token of now; `None` when nobody is signed in.
    fn token(&self) -> Option<Token>;
}

impl<F: Fn() -> Option<Token> + Send + Sync + 'static> TokenSource for F {
    fn token(&self) -> Option<Token> {
        self()
    }
}

/// One tenant of a Docks API.
pub struct DocksApi {
    transport: HttpsTransport,
    routes: TenantRoutes,
    tokens: Arc<dyn TokenSource>,
}

impl DocksApi {
    /// Takes the way, which brings no token of its own, the tenant, and the source of tokens.
    ///
    /// # Errors
    ///
    /// [`InvalidId`] when the tenant cannot be a path segment.
    pub fn new(
        transport: HttpsTransport,
        tenant: &str,
        tokens: Arc<dyn TokenSource>,
    ) -> Result<Self, InvalidId> {
        Ok(Self {
            transport,
            routes: TenantRoutes::new(tenant)?,
            tokens,
        })
    }

    async fn ask(
        &self,
        mut request: Request,
        validator: Option<&Validator>,
    ) -> Result<Fetched<Reply>, RemoteError> {
        request
            .headers
            .insert(header::AUTHORIZATION, self.authorization().await?);
        let known = validator.and_then(|v| HeaderValue::from_str(&v.0).ok());
        if let Some(known) = known.clone() {
            request.headers.insert(header::IF_NONE_MATCH, known);
        }
        let reply = self
            .transport
            .send(request)
            .await
            .map_err(RemoteError::Send)?;
        if reply.status == StatusCode::NOT_MODIFIED {
            return confirms(&reply.headers, known.as_ref()).map(|()| Fetched::NotModified);
        }
        if !reply.status.is_success() {
            return Err(RemoteError::Status {
                status: reply.status.as_u16(),
                body: Box::new(parse_error_body(&reply.body)),
                retry_after: retry_after(&reply.headers),
            });
        }
        let validator = validator_of(&reply.headers);
        Ok(Fetched::New {
            value: reply,
            validator,
        })
    }

    async fn authorization(&self) -> Result<HeaderValue, RemoteError> {
        let tokens = Arc::clone(&self.tokens);
        // A keyring may have to be asked, which blocks.
        let token = tokio::task::spawn_blocking(move || tokens.token())
            .await
            .ok()
            .flatten();
        token.map(|t| t.authorization()).ok_or_else(|| {
            RemoteError::NotSignedIn(format!("no token for {}", self.transport.origin()))
        })
    }

    /// Asks for something that has no validator yet; a 304 is then no answer.
    async fn ask_anew(&self, request: Request) -> Result<Reply, RemoteError> {
        match self.ask(request, None).await? {
            Fetched::New { value, .. } => Ok(value),
            Fetched::NotModified => Err(nonsense("304 to a question without a validator")),
        }
    }
}

#[async_trait]
impl Remote for DocksApi {
    fn properties(&self) -> RemoteProperties {
        RemoteProperties {
            kind: "docks_api",
            metered: true,
            whole_lists: false,
        }
    }

    async fn list(
        &self,
        kind: RunKind,
        page: &PageRequest,
        validator: Option<&Validator>,
    ) -> Result<Fetched<Page>, RemoteError> {
        let path = format!("{}{}", self.routes.runs(kind), page.query_string());
        let fetched = self.ask(Request::get(path), validator).await?;
        understood(fetched, page_of)
    }

    async fn run(
        &self,
        kind: RunKind,
        id: &str,
        validator: Option<&Validator>,
    ) -> Result<Fetched<RawObject>, RemoteError> {
        let path = self.routes.run(kind, id).map_err(unsendable)?;
        let fetched = self.ask(Request::get(path), validator).await?;
        understood(fetched, |body| body::parse_object(body, id))
    }

    async fn trials(
        &self,
        run: &str,
        validator: Option<&Validator>,
    ) -> Result<Fetched<Page>, RemoteError> {
        let path = self.routes.trials(run).map_err(unsendable)?;
        let fetched = self.ask(Request::get(path), validator).await?;
        understood(fetched, page_of)
    }

    async fn trial(&self, run: &str, trial: &str) -> Result<RawObject, RemoteError> {
        let path = self.routes.trial(run, trial).map_err(unsendable)?;
        let reply = self.ask_anew(Request::get(path)).await?;
        body::parse_object(&reply.body, trial).map_err(nonsense)
    }

    async fn act(&self, action: Action, id: &str) -> Result<RawObject, RemoteError> {
        let path = self.routes.action(action, id).map_err(unsendable)?;
        let reply = self.ask_anew(Request::post(path)).await?;
        body::parse_object(&reply.body, id).map_err(nonsense)
    }
}

/// Reads the body of a new answer; "as before" passes.
fn understood<T>(
    fetched: Fetched<Reply>,
    read: impl FnOnce(&[u8]) -> Result<T, String>,
) -> Result<Fetched<T>, RemoteError> {
    match fetched {
        Fetched::NotModified => Ok(Fetched::NotModified),
        Fetched::New { value, validator } => Ok(Fetched::New {
            value: read(&value.body).map_err(nonsense)?,
            validator,
        }),
    }
}

fn page_of(body: &[u8]) -> Result<Page, String> {
    let RawList {
        objects,
        skipped,
        next_cursor,
        total,
        ..
    } = body::parse_list(body)?;
    Ok(Page {
        objects,
        skipped,
        next_cursor,
        total,
    })
}

/// A 304 says something only about the validator that was sent.
fn confirms(headers: &HeaderMap, sent: Option<&HeaderValue>) -> Result<(), RemoteError> {
    let Some(sent) = sent else {
        return Err(nonsense("304 to a question without a validator"));
    };
    match headers.get(header::ETAG) {
        Some(named) if opaque(named) != opaque(sent) => Err(nonsense(
            "304 for another version than the one that is known",
        )),
        _ => Ok(()),
    }
}

/// Compares weakly (RFC 9110 §8.8.3.2): compression on the way makes a tag weak.
fn opaque(tag: &HeaderValue) -> &[u8] {
    let bytes = tag.as_bytes();
    bytes.strip_prefix(b"W/").unwrap_or(bytes)
}

fn validator_of(headers: &HeaderMap) -> Option<Validator> {
    let text = headers.get(header::ETAG)?.to_str().ok()?;
    (!text.is_empty()).then(|| Validator(text.to_owned()))
}

fn nonsense(why: impl Into<String>) -> RemoteError {
    RemoteError::InvalidResponse { why: why.into() }
}

fn unsendable(bad: InvalidId) -> RemoteError {
    RemoteError::Send(SendError::InvalidRequest(bad.to_string()))
}
