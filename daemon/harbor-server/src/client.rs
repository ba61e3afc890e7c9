//! Requests to the server, and what its refusals mean.

use std::sync::Arc;
use std::time::Duration;

use docks_proto::client::body::check_values;
use docks_proto::client::{HttpsTransport, Limits, Reply, Request, SendError, retry_after};
use docks_proto::error::{RemoteErrorBody, parse_error_body};
use docks_proto::settings::TrustSettings;
use docksd_remote::{RemoteError, TokenSource};
use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::queries::Statement;

/// The version of the API that this module speaks, as `info.version` of `/openapi.json` states it.
const API_VERSION: &str = "2026-10-30";
/// The header that requests a version; the server refuses another one than its own.
const API_VERSION_HEADER: &str = "harbor-api-version";
/// The server's first job with a model stops it for 9 s, which is no outage.
const TIMEOUT: Duration = Duration::from_secs(45);
/// The same in the middle of a response.
const SILENCE: Duration = Duration::from_secs(15);
/// The server closes an idle connection after 5 s, and a request that meets it is lost.
const IDLE_CONNECTION: Duration = Duration::from_secs(4);

/// A server.
pub(crate) struct ServerClient {
    transport: HttpsTransport,
    base: String,
    tokens: Arc<dyn TokenSource>,
}

/// Rows of a statement, or why there are none.
pub(crate) struct QueryResult<'a>(StatementResult<'a>);

#[derive(Deserialize)]
struct QueryAnswer<'a> {
    #[serde(borrow)]
    results: Vec<StatementResult<'a>>,
}

#[derive(Deserialize)]
struct StatementResult<'a> {
    #[serde(borrow)]
    rows: Option<&'a RawValue>,
    error_v2: Option<StatementError>,
}

#[derive(Deserialize)]
struct StatementError {
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct OpenApi {
    info: OpenApiInfo,
}

#[derive(Deserialize)]
struct OpenApiInfo {
    #[serde(default)]
    title: String,
    #[serde(default)]
    version: String,
}

impl ServerClient {
    /// Creates a client without connecting. `base` has no slash at its end.
    ///
    /// # Errors
    ///
    /// When the address is not one to which requests can be sent.
    pub(crate) fn new(
        base: &str,
        limits: Limits,
        tokens: Arc<dyn TokenSource>,
        trust: impl Fn() -> TrustSettings + Send + Sync + 'static,
    ) -> Result<Self, RemoteError> {
        let limits = Limits {
            total: TIMEOUT,
            window: SILENCE,
            idle_connection: IDLE_CONNECTION,
            ..limits
        };
        let transport = HttpsTransport::new(base, None, limits).map_err(RemoteError::Send)?;
        Ok(Self {
            transport: transport.with_trust(trust),
            base: base.to_owned(),
            tokens,
        })
    }

    /// Returns the server's address.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    async fn token(&self) -> Option<docks_proto::secret::Token> {
        let tokens = Arc::clone(&self.tokens);
        // Reading the keyring blocks.
        tokio::task::spawn_blocking(move || tokens.token())
            .await
            .ok()
            .flatten()
    }

    async fn send(&self, mut request: Request) -> Result<Reply, RemoteError> {
        // A server without a key needs none.
        let token = self.token().await;
        if let Some(token) = &token {
            request
                .headers
                .insert(header::AUTHORIZATION, token.authorization());
        }
        request
            .headers
            .insert(API_VERSION_HEADER, HeaderValue::from_static(API_VERSION));
        let reply = self
            .transport
            .send(request)
            .await
            .map_err(|error| self.unreachable(error))?;
        if reply.status.is_success() {
            return Ok(reply);
        }
        if let Some(token) = token.as_ref().filter(|_| reply.status == 401) {
            self.tokens.refused(token);
        }
        Err(self.refusal(&reply, token.is_some()))
    }

    /// Sends a request without a key, for the one document that needs none.
    async fn open_api(&self) -> Result<OpenApi, RemoteError> {
        let reply = self
            .transport
            .send(Request::get("/openapi.json"))
            .await
            .map_err(|error| self.unreachable(error))?;
        if reply.status.is_redirection() || reply.status == 403 || reply.status.is_server_error() {
            return Err(self.refusal(&reply, false));
        }
        serde_json::from_slice::<OpenApi>(&reply.body)
            .ok()
            .filter(|found| reply.status.is_success() && found.info.title.contains("Harbor"))
            .ok_or_else(|| {
                RemoteError::Unsupported(format!(
                    "the server at {} is not a `harbor serve`: it has no /openapi.json of one. \
                     Check the address and the port",
                    self.base
                ))
            })
    }

    /// Checks that this is `harbor serve`, with the version of its API that we know.
    ///
    /// # Errors
    ///
    /// When it is another program or another version, or cannot be reached.
    pub(crate) async fn check_version(&self) -> Result<(), RemoteError> {
        let found = self.open_api().await?.info.version;
        if found == API_VERSION {
            return Ok(());
        }
        let found: String = found.chars().filter(|c| !c.is_control()).take(40).collect();
        Err(RemoteError::Unsupported(format!(
            "the server at {} speaks version `{found}` of the API of `harbor serve`, and this docks speaks {API_VERSION} \
             (Harbor 0.26). Use a docks and a Harbor of the same time",
            self.base
        )))
    }

    /// Runs statements in one snapshot and reads their rows.
    ///
    /// # Errors
    ///
    /// When the server does not answer, or refuses the request as a whole.
    pub(crate) async fn query<T, const N: usize>(
        &self,
        statements: &[Statement; N],
        read: impl FnOnce([QueryResult<'_>; N]) -> Result<T, RemoteError>,
    ) -> Result<T, RemoteError> {
        let body = serde_json::to_vec(statements.as_slice())
            .map_err(|error| invalid(error.to_string()))?;
        let mut request = Request::post("/query");
        request.body = body.into();
        request.headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        let reply = self.send(request).await?;
        let text = std::str::from_utf8(&reply.body)
            .map_err(|_| invalid("the answer to a query is not UTF-8"))?;
        check_values(text)
            .map_err(|error| invalid(format!("the answer to a query has {error}")))?;
        let answer: QueryAnswer<'_> = serde_json::from_str(text)
            .map_err(|error| invalid(format!("the answer to a query is not one: {error}")))?;
        let results: Vec<QueryResult<'_>> = answer.results.into_iter().map(QueryResult).collect();
        match results.try_into() {
            Ok(results) => read(results),
            Err(_) => Err(invalid("a query has not as many results as statements")),
        }
    }

    /// Gets an object as JSON.
    ///
    /// # Errors
    ///
    /// When the server does not answer or refuses, or the answer is something else.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: String) -> Result<T, RemoteError> {
        let reply = self.send(Request::get(path)).await?;
        parse(&reply.body)
    }

    /// Sends a command with a JSON body, and reads the object that it returns.
    ///
    /// # Errors
    ///
    /// As [`ServerClient::get`].
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: String,
        body: &'static str,
    ) -> Result<T, RemoteError> {
        let mut request = Request::post(path);
        if !body.is_empty() {
            request.body = body.as_bytes().into();
            request.headers.insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            );
        }
        let reply = self.send(request).await?;
        parse(&reply.body)
    }

    fn unreachable(&self, error: SendError) -> RemoteError {
        match error {
            source @ SendError::Connect { .. } => RemoteError::NoServer {
                hint: format!(
                    "Start `harbor serve` there, or name its address: {} is what was asked.",
                    self.base
                ),
                source,
            },
            other => RemoteError::Send(other),
        }
    }

    /// Says what a refusal means here: the server's own texts name neither its key nor its host.
    fn refusal(&self, reply: &Reply, sent_key: bool) -> RemoteError {
        let mut body = parse_error_body(&reply.body);
        let hint = match reply.status {
            StatusCode::UNAUTHORIZED if sent_key => {
                "The key is not the server's: set HARBOR_API_KEY to the value that `harbor serve` was started with, \
                 or correct `token` in the profile."
            }
            StatusCode::UNAUTHORIZED => {
                "Set HARBOR_API_KEY to the value that `harbor serve` was started with, or `token` in the profile."
            }
            StatusCode::FORBIDDEN => {
                "Without a key, `harbor serve` answers only to localhost, 127.0.0.1 and ::1: use one of these names, \
                 also for a tunnel, or start it with HARBOR_API_KEY."
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                "The server is shutting down; start `harbor serve` again with the same --data-dir."
            }
            status if status.is_redirection() => {
                "The address redirects, which docks does not follow: name the server itself."
            }
            _ => "",
        };
        if !hint.is_empty() {
            body.hint = Some(hint.to_owned());
        }
        RemoteError::Status {
            status: reply.status.as_u16(),
            body: Box::new(RemoteErrorBody {
                detail: None,
                ..body
            }),
            retry_after: retry_after(&reply.headers),
        }
    }
}

impl QueryResult<'_> {
    /// Reads the rows.
    ///
    /// # Errors
    ///
    /// When the statement failed, or its rows are not what they should be.
    pub(crate) fn rows<T: DeserializeOwned>(&self) -> Result<Vec<T>, RemoteError> {
        if let Some(error) = &self.0.error_v2 {
            return Err(invalid(format!("a query failed: {}", error.message)));
        }
        let rows = self.0.rows.map_or("[]", RawValue::get);
        serde_json::from_str(rows)
            .map_err(|error| invalid(format!("a query has unexpected rows: {error}")))
    }

    /// Whether the statement failed, for instance because its rows were too many.
    pub(crate) fn has_failed(&self) -> bool {
        self.0.error_v2.is_some()
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, RemoteError> {
    serde_json::from_slice(body).map_err(|error| invalid(error.to_string()))
}

/// Returns the error for an answer that does not fit the request.
pub(crate) fn invalid(why: impl Into<String>) -> RemoteError {
    RemoteError::InvalidResponse { why: why.into() }
}
