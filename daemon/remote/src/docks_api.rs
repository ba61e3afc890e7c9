//! The Docks API over HTTPS, as a [`Remote`].
//!
//! Turns each call into one request and refuses answers that do not fit it. Paging, pace and
//! retries are up to the engine.

use std::sync::Arc;

use async_trait::async_trait;
use docks_proto::client::body::{self, BodyError};
use docks_proto::client::{HttpsTransport, Reply, Request, SendError, retry_after};
use docks_proto::error::parse_error_body;
use docks_proto::file_list::FileList;
use docks_proto::freshness::Validator;
use docks_proto::id::InvalidId;
use docks_proto::object::{RawList, RawObject, RunFields};
use docks_proto::paging::{
    ListCapabilities, ListWalk, PageRequest, PageSummary, WalkEnd, WalkOptions,
};
use docks_proto::repair::{OddValue, odd_values};
use docks_proto::routes::{Action, RunKind, TOTAL, TenantRoutes};
use docks_proto::secret::Token;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tracing::debug;

use super::answer::{Fetched, Page};
use super::error::RemoteError;
use super::remote::{Remote, RemoteProperties};

/// Odd values of one answer that are logged.
const MAX_LOGGED: usize = 10;

/// Where the token of a remote comes from.
///
/// Read before every request, outside the runtime's threads, so that a new login takes effect at
/// once and a logout stops requests.
pub trait TokenSource: Send + Sync + 'static {
    /// Returns the current token, or `None` without a login.
    fn token(&self) -> Option<Token>;

    /// Learns that the remote has refused `token`, which may not be the current one any more.
    fn refused(&self, _token: &Token) {}

    /// Says why there is no token.
    fn missing_reason(&self) -> Option<String> {
        None
    }
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
    /// Takes a transport without a token, the tenant, and the source of tokens.
    ///
    /// # Errors
    ///
    /// [`InvalidId`] if the tenant cannot be a path segment.
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

    async fn send(
        &self,
        mut request: Request,
        validator: Option<&Validator>,
    ) -> Result<Fetched<Reply>, RemoteError> {
        let token = self.token().await?;
        request
            .headers
            .insert(header::AUTHORIZATION, token.authorization());
        let sent = validator.and_then(|v| HeaderValue::from_str(&v.0).ok());
        if let Some(sent) = sent.clone() {
            request.headers.insert(header::IF_NONE_MATCH, sent);
        }
        let reply = self
            .transport
            .send(request)
            .await
            .map_err(RemoteError::Send)?;
        if reply.status == StatusCode::NOT_MODIFIED {
            check_not_modified(&reply.headers, sent.as_ref())?;
            return Ok(Fetched::NotModified);
        }
        if reply.status == StatusCode::UNAUTHORIZED {
            self.tokens.refused(&token);
        }
        if !reply.status.is_success() {
            return Err(RemoteError::Status {
                status: reply.status.as_u16(),
                body: Box::new(parse_error_body(&reply.body)),
                retry_after: retry_after(&reply.headers),
            });
        }
        let validator = read_validator(&reply.headers);
        Ok(Fetched::New {
            value: reply,
            validator,
        })
    }

    async fn token(&self) -> Result<Token, RemoteError> {
        let tokens = Arc::clone(&self.tokens);
        // Reading the keyring blocks.
        let token = tokio::task::spawn_blocking(move || tokens.token())
            .await
            .ok()
            .flatten();
        token.ok_or_else(|| {
            let no_token = || format!("no token for {}", self.transport.origin());
            RemoteError::NotSignedIn(self.tokens.missing_reason().unwrap_or_else(no_token))
        })
    }

    /// Sends a request without a validator, to which 304 is not an answer.
    async fn send_unconditional(&self, request: Request) -> Result<Reply, RemoteError> {
        match self.send(request, None).await? {
            Fetched::New { value, .. } => Ok(value),
            Fetched::NotModified => Err(invalid_response("304 to a request without a validator")),
        }
    }
}

impl DocksApi {
    /// Reads the body of a new answer.
    fn read_body<T>(
        &self,
        fetched: Fetched<Reply>,
        read: impl FnOnce(&[u8]) -> Result<T, BodyError>,
    ) -> Result<Fetched<T>, RemoteError> {
        match fetched {
            Fetched::NotModified => Ok(Fetched::NotModified),
            Fetched::New { value, validator } => Ok(Fetched::New {
                value: read(&value.body).map_err(|error| self.unreadable(error))?,
                validator,
            }),
        }
    }

    /// Explains why a body is not an answer.
    fn unreadable(&self, error: BodyError) -> RemoteError {
        match error {
            BodyError::Invalid(what) => invalid_response(what),
            BodyError::TooManyElements { limit } => RemoteError::Send(SendError::TooManyElements {
                to: self.transport.origin(),
                limit,
            }),
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
        let fetched = self.send(Request::get(path), validator).await?;
        // A hub says how long the whole list is beside the page.
        let total = match &fetched {
            Fetched::New { value, .. } => value.headers.get(TOTAL),
            Fetched::NotModified => None,
        };
        let total = total.and_then(|total| total.to_str().ok()?.parse().ok());
        let mut page = self.read_body(fetched, parse_page)?;
        if let Fetched::New { value, .. } = &mut page {
            value.total = value.total.or(total);
        }
        Ok(page)
    }

    async fn run(
        &self,
        kind: RunKind,
        id: &str,
        validator: Option<&Validator>,
    ) -> Result<Fetched<RawObject>, RemoteError> {
        let path = self.routes.run(kind, id).map_err(invalid_request)?;
        let fetched = self.send(Request::get(path), validator).await?;
        self.read_body(fetched, |body| parse_object(body, id))
    }

    async fn trials(
        &self,
        run: &str,
        validator: Option<&Validator>,
    ) -> Result<Fetched<Page>, RemoteError> {
        let path = self.routes.trials(run).map_err(invalid_request)?;
        let fetched = self.send(Request::get(&*path), validator).await?;
        let Fetched::New {
            value: mut page,
            mut validator,
        } = self.read_body(fetched, parse_page)?
        else {
            return Ok(Fetched::NotModified);
        };
        // All trials belong in one answer; a remote that sends a cursor has not sent all of them.
        let mut learned = ListCapabilities::default();
        let mut walk = ListWalk::new(&learned, WalkOptions::single_answer());
        let summary =
            |page: &Page| PageSummary::from_objects(&page.objects, page.next_cursor.clone());
        walk.accept(&summary(&page), &mut learned);
        let mut others = Vec::new();
        while let Some(request) = walk.request() {
            let next = Request::get(format!("{path}{}", request.query_string()));
            let reply = self.send_unconditional(next).await?;
            let more = parse_page(&reply.body).map_err(|error| self.unreadable(error))?;
            walk.accept(&summary(&more), &mut learned);
            others.push(more);
        }
        // A cursor that leads nowhere, as the same one again, says nothing about what is missing.
        if walk.end() == Some(WalkEnd::Complete) && !others.is_empty() {
            for more in others {
                page.objects.extend(more.objects);
                page.skipped += more.skipped;
            }
            // That of the first page says nothing about the others.
            validator = None;
        }
        page.next_cursor = None;
        Ok(Fetched::New {
            value: page,
            validator,
        })
    }

    async fn trial(&self, run: &str, trial: &str) -> Result<RawObject, RemoteError> {
        let path = self.routes.trial(run, trial).map_err(invalid_request)?;
        let reply = self.send_unconditional(Request::get(path)).await?;
        parse_object(&reply.body, trial).map_err(|error| self.unreadable(error))
    }

    async fn files(&self, run: &str, trial: Option<&str>) -> Result<Option<FileList>, RemoteError> {
        let path = self.routes.files(run, trial).map_err(invalid_request)?;
        match self.send_unconditional(Request::get(path)).await {
            Ok(reply) => {
                let text = String::from_utf8_lossy(&reply.body);
                body::check_values(&text).map_err(|error| self.unreadable(error))?;
                FileList::parse(text.as_bytes())
                    .map(Some)
                    .map_err(|error| invalid_response(error.to_string()))
            }
            // Only a hub has such lists.
            Err(RemoteError::Status {
                status: 404 | 405, ..
            }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn act(&self, action: Action, id: &str) -> Result<RawObject, RemoteError> {
        if action.is_of_daemon() {
            return Err(RemoteError::Unsupported(format!(
                "a Docks API cannot {} runs",
                action.segment()
            )));
        }
        let path = self.routes.action(action, id).map_err(invalid_request)?;
        let reply = self.send_unconditional(Request::post(path)).await?;
        parse_object(&reply.body, id).map_err(|error| self.unreadable(error))
    }
}

fn parse_page(body: &[u8]) -> Result<Page, BodyError> {
    let RawList {
        objects,
        skipped,
        next_cursor,
        total,
        ..
    } = body::parse_list(body)?;
    log_odd_values(&objects);
    Ok(Page {
        objects,
        skipped,
        next_cursor,
        total,
        is_partial: false,
    })
}

fn parse_object(body: &[u8], requested_id: &str) -> Result<RawObject, BodyError> {
    let object = body::parse_object(body, requested_id)?;
    log_odd_values(std::slice::from_ref(&object));
    Ok(object)
}

/// Logs which values of an answer are not what they should be, of at most a few.
fn log_odd_values(objects: &[RawObject]) {
    if !tracing::enabled!(tracing::Level::DEBUG) {
        return;
    }
    let mut left = MAX_LOGGED;
    for object in objects {
        let id = || RunFields::from_object(object).id.text().unwrap_or_default();
        for OddValue { path, what } in odd_values(object.text(), left) {
            left -= 1;
            debug!(id = id(), path, "`{}`: {path} {what}", id());
        }
    }
}

/// Checks that a 304 confirms the validator that was sent.
fn check_not_modified(headers: &HeaderMap, sent: Option<&HeaderValue>) -> Result<(), RemoteError> {
    let Some(sent) = sent else {
        return Err(invalid_response("304 to a request without a validator"));
    };
    match headers.get(header::ETAG) {
        Some(named) if opaque_tag(named) != opaque_tag(sent) => {
            Err(invalid_response("304 with another ETag than the one sent"))
        }
        _ => Ok(()),
    }
}

/// Returns the tag for weak comparison (RFC 9110 §8.8.3.2), since proxies that compress make tags
/// weak.
fn opaque_tag(tag: &HeaderValue) -> &[u8] {
    let bytes = tag.as_bytes();
    bytes.strip_prefix(b"W/").unwrap_or(bytes)
}

fn read_validator(headers: &HeaderMap) -> Option<Validator> {
    let text = headers.get(header::ETAG)?.to_str().ok()?;
    (!text.is_empty()).then(|| Validator(text.to_owned()))
}

fn invalid_response(why: impl Into<String>) -> RemoteError {
    RemoteError::InvalidResponse { why: why.into() }
}

fn invalid_request(bad: InvalidId) -> RemoteError {
    RemoteError::Send(SendError::InvalidRequest(bad.to_string()))
}
