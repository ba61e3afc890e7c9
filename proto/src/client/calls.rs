//! The calls: request out, checked answer back.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, header};

use super::exchange::{Exchange, Exchanges};
use super::unix::Opened;
use super::{Reply, Request, SendError, Transport, body, retry_after};
use crate::error::{RemoteErrorBody, parse_error_body};
use crate::freshness::{CachePolicy, Freshness};
use crate::id::InvalidId;
use crate::object::RawList;
use crate::query::{ListKind, ListQuery};
use crate::routes::{self, Action, RunKind, TenantRoutes};
use crate::status::{DaemonStatus, SyncProgress};

/// How long an answer that waits for the remote may take: the daemon's own time-out there, and some.
const PATIENT: Duration = Duration::from_secs(45);

/// An answer that is one.
#[derive(Debug, Clone)]
pub struct Answer {
    /// JSON: an object, or for lists a bare array.
    pub body: Bytes,
    /// How old it is, when a daemon answered.
    pub freshness: Option<Freshness>,
    /// How many objects match before the cut, when a daemon answered.
    pub total: Option<u64>,
    /// Whether the statuses asked for were ever seen, when a daemon answered with an empty list.
    pub status_seen: Option<bool>,
    /// Protocol of the daemon that answered, if one did.
    pub protocol: Option<u32>,
}

/// Says why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No whole answer arrived.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The other side answered with an error status.
    #[error("refused with status {status}{}", body.message.as_ref().map(|m| format!(": {m}")).unwrap_or_default())]
    Refused {
        /// HTTP status.
        status: u16,
        /// What it said, as far as it could be understood.
        body: Box<RemoteErrorBody>,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// The daemon speaks another protocol, or none that we know.
    #[error("docksd {} speaks protocol {}, this docks {}", version.as_deref().unwrap_or("of an unknown version"), theirs.map_or_else(|| "unknown".to_owned(), |n| n.to_string()), crate::PROTOCOL)]
    Protocol {
        /// Its protocol.
        theirs: Option<u32>,
        /// Its release.
        version: Option<String>,
    },
    /// The answer is no answer to the question.
    #[error("the answer makes no sense: {0}")]
    InvalidReply(String),
}

impl From<InvalidId> for ClientError {
    fn from(bad: InvalidId) -> Self {
        ClientError::Send(SendError::InvalidRequest(bad.to_string()))
    }
}

/// One tenant's Docks API, at the daemon or at the remote.
#[derive(Debug)]
pub struct Client {
    transport: Transport,
    routes: TenantRoutes,
    common: HeaderMap,
    exchanges: Exchanges,
}

impl Client {
    /// Takes the way, the tenant, and headers that every request carries.
    ///
    /// # Errors
    ///
    /// [`InvalidId`] when the tenant cannot be a path segment.
    pub fn new(transport: Transport, tenant: &str, common: HeaderMap) -> Result<Self, InvalidId> {
        Ok(Self {
            transport,
            routes: TenantRoutes::new(tenant)?,
            common,
            exchanges: Exchanges::default(),
        })
    }

    /// Hands over what was asked since the last call and what came back, oldest first.
    pub fn take_exchanges(&self) -> Vec<Exchange> {
        self.exchanges.take()
    }

    /// Returns the paths of this client's tenant.
    #[must_use]
    pub fn routes(&self) -> &TenantRoutes {
        &self.routes
    }

    /// Lists runs. A remote other than a `docksd` needs [`list_all_runs`](super::list_all_runs) instead,
    /// since it knows few of the parameters.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; so for all below.
    pub async fn list_runs(
        &self,
        kind: RunKind,
        query: &ListQuery,
        allowed: CachePolicy,
    ) -> Result<Answer, ClientError> {
        let path = format!(
            "{}?{}",
            self.routes.runs(kind),
            query.query_string(ListKind::Runs)
        );
        self.list(path, allowed).await
    }

    /// Lists the trials of an evaluation run.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn trials(
        &self,
        run: &str,
        query: &ListQuery,
        allowed: CachePolicy,
    ) -> Result<Answer, ClientError> {
        let path = format!(
            "{}?{}",
            self.routes.trials(run)?,
            query.query_string(ListKind::Trials)
        );
        self.list(path, allowed).await
    }

    /// Lists the trials of all evaluation runs, each marked with its run; only a `docksd` can.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn all_trials(
        &self,
        query: &ListQuery,
        allowed: CachePolicy,
    ) -> Result<Answer, ClientError> {
        let path = format!(
            "{}?{}",
            self.routes.all_trials(),
            query.query_string(ListKind::AllTrials)
        );
        self.list_patiently(path, allowed).await
    }

    /// Gets one run.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn run(
        &self,
        kind: RunKind,
        id: &str,
        allowed: CachePolicy,
    ) -> Result<Answer, ClientError> {
        let request = self.request(Request::get(self.routes.run(kind, id)?), allowed);
        let patience = patience(allowed);
        self.object(request, id, patience).await
    }

    /// Gets one trial.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn trial(
        &self,
        run: &str,
        trial: &str,
        allowed: CachePolicy,
    ) -> Result<Answer, ClientError> {
        let request = self.request(Request::get(self.routes.trial(run, trial)?), allowed);
        self.object(request, trial, patience(allowed)).await
    }

    /// Carries out an action; the answer is the run as it is afterwards.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn perform(&self, action: Action, id: &str) -> Result<Answer, ClientError> {
        self.acted(self.routes.action(action, id)?, id).await
    }

    /// Asks the daemon to carry out an action, and to kill the run's process where it catches no
    /// signal or was asked to stop already.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn kill(&self, action: Action, id: &str) -> Result<Answer, ClientError> {
        let path = format!("{}?{}=true", self.routes.action(action, id)?, routes::KILL);
        self.acted(path, id).await
    }

    async fn acted(&self, path: String, id: &str) -> Result<Answer, ClientError> {
        let request = self.request(Request::post(path), CachePolicy::Default);
        // Long patience: given up half-way, nobody would know whether it was carried out.
        self.object(request, id, Some(PATIENT)).await
    }

    /// Asks the daemon how it is.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn status(&self) -> Result<DaemonStatus, ClientError> {
        let request = self.request(Request::get(routes::STATUS), CachePolicy::Default);
        let reply = self.exchange(request, None).await?;
        read_json(&reply.body)
    }

    /// Asks the daemon to end.
    ///
    /// # Errors
    ///
    /// [`ClientError`]. Its protocol is not checked: an older or newer daemon has to end, too.
    pub async fn shutdown(&self) -> Result<(), ClientError> {
        let request = self.request(Request::post(routes::SHUTDOWN), CachePolicy::Default);
        let reply = self.transport.send(request).await?;
        check_status(reply).map(drop)
    }

    /// Asks the daemon to catch up; hands over each line of progress, the last one included.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; `InvalidReply` when the stream ends before the work does.
    pub async fn sync(
        &self,
        full: bool,
        mut on: impl FnMut(SyncProgress),
    ) -> Result<(), ClientError> {
        let Transport::Unix(unix) = &self.transport else {
            let what = "only a daemon can be asked to sync";
            return Err(SendError::InvalidRequest(what.to_owned()).into());
        };
        let path = format!("{}?full={full}", routes::SYNC);
        let request = self.request(Request::post(path), CachePolicy::Default);
        let mut opened = unix.clone().patience(None).open(request).await?;
        check_answer(&mut opened).await?;
        while let Some(line) = opened.line().await? {
            if line.is_empty() {
                continue;
            }
            let progress: SyncProgress = read_json(&line)?;
            let finished = progress.finished;
            on(progress);
            if finished {
                return Ok(());
            }
        }
        let what = "the daemon stopped in the middle of a sync";
        Err(ClientError::InvalidReply(what.to_owned()))
    }

    /// Fetches one page of a list as the remote gives it, for a walk.
    pub(super) async fn page(&self, path: String) -> Result<RawList, ClientError> {
        let request = self.request(Request::get(path), CachePolicy::Default);
        let reply = self.exchange(request, None).await?;
        body::parse_list(&reply.body).map_err(ClientError::InvalidReply)
    }

    async fn list(&self, path: String, allowed: CachePolicy) -> Result<Answer, ClientError> {
        let request = self.request(Request::get(path), allowed);
        let mut reply = self.exchange(request, patience(allowed)).await?;
        if matches!(self.transport, Transport::Https(_)) {
            let list = body::parse_list(&reply.body).map_err(ClientError::InvalidReply)?;
            reply.body = join(&list);
        }
        Ok(answer(reply))
    }

    /// As [`Self::list`], for answers that may wait for the remote whatever age is allowed.
    async fn list_patiently(
        &self,
        path: String,
        allowed: CachePolicy,
    ) -> Result<Answer, ClientError> {
        let request = self.request(Request::get(path), allowed);
        let patience = match allowed {
            CachePolicy::OnlyIfCached => None,
            _ => Some(PATIENT),
        };
        Ok(answer(self.exchange(request, patience).await?))
    }

    async fn object(
        &self,
        request: Request,
        asked: &str,
        patience: Option<Duration>,
    ) -> Result<Answer, ClientError> {
        let mut reply = self.exchange(request, patience).await?;
        if matches!(self.transport, Transport::Https(_)) {
            let object =
                body::parse_object(&reply.body, asked).map_err(ClientError::InvalidReply)?;
            reply.body = Bytes::copy_from_slice(object.text().as_bytes());
        }
        Ok(answer(reply))
    }

    /// Sends, and lets only answers of the right protocol and a good status through.
    ///
    /// `patience` raises the transport's own for answers of the daemon that wait for the remote.
    async fn exchange(
        &self,
        request: Request,
        patience: Option<Duration>,
    ) -> Result<Reply, ClientError> {
        let (method, path) = (request.method.clone(), request.path.clone());
        let sent = async {
            match (&self.transport, patience) {
                (Transport::Unix(unix), Some(patience)) => {
                    unix.clone().at_least(patience).send(request).await
                }
                (transport, _) => transport.send(request).await,
            }
        };
        let reply = self.exchanges.remember(method, path, sent).await?;
        if matches!(self.transport, Transport::Unix(_)) {
            check_protocol(&reply.headers)?;
        }
        check_status(reply)
    }

    /// Returns the way to whoever answers.
    pub(super) fn transport(&self) -> &Transport {
        &self.transport
    }

    /// Asks the daemon for something of its own that may take a while.
    pub(super) async fn asked(
        &self,
        request: Request,
        patience: Duration,
    ) -> Result<Answer, ClientError> {
        let reply = self.exchange(request, Some(patience)).await?;
        Ok(answer(reply))
    }

    pub(super) fn request(&self, mut request: Request, allowed: CachePolicy) -> Request {
        request.headers = self.common.clone();
        if let Some(value) = allowed.to_header_value() {
            request.headers.insert(header::CACHE_CONTROL, value);
        }
        request
    }
}

/// Answers that must be confirmed by the remote wait for it; others come from the mirror at once.
fn patience(allowed: CachePolicy) -> Option<Duration> {
    match allowed {
        CachePolicy::NoCache | CachePolicy::MaxAge(_) => Some(PATIENT),
        CachePolicy::Default | CachePolicy::OnlyIfCached => None,
    }
}

/// Checks that the daemon speaks our protocol: the one place where that is decided.
fn check_protocol(headers: &HeaderMap) -> Result<(), ClientError> {
    let theirs = protocol(headers);
    if theirs == Some(crate::PROTOCOL) {
        return Ok(());
    }
    Err(ClientError::Protocol {
        theirs,
        version: text(headers, routes::VERSION).map(str::to_owned),
    })
}

/// Lets a streamed answer through that is one.
pub(super) async fn check_answer(opened: &mut Opened) -> Result<(), ClientError> {
    check_protocol(&opened.headers)?;
    if opened.status.is_success() {
        return Ok(());
    }
    let (status, headers) = (opened.status, opened.headers.clone());
    let body = opened.rest().await?;
    check_status(Reply {
        status,
        headers,
        body,
    })
    .map(drop)
}

fn check_status(reply: Reply) -> Result<Reply, ClientError> {
    if reply.status.is_success() {
        return Ok(reply);
    }
    Err(ClientError::Refused {
        status: reply.status.as_u16(),
        body: Box::new(parse_error_body(&reply.body)),
        retry_after: retry_after(&reply.headers),
    })
}

fn answer(reply: Reply) -> Answer {
    Answer {
        freshness: Freshness::from_headers(&reply.headers),
        total: text(&reply.headers, routes::TOTAL).and_then(|t| t.parse().ok()),
        status_seen: text(&reply.headers, routes::STATUS_SEEN).map(|seen| seen == "true"),
        protocol: protocol(&reply.headers),
        body: reply.body,
    }
}

fn protocol(headers: &HeaderMap) -> Option<u32> {
    text(headers, routes::PROTOCOL)?.parse().ok()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn read_json<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, ClientError> {
    serde_json::from_slice(body).map_err(|e| {
        ClientError::InvalidReply(format!("the daemon's own answer cannot be read: {e}"))
    })
}

/// Writes the objects as a bare array, each as it arrived.
fn join(list: &RawList) -> Bytes {
    let length = list
        .objects
        .iter()
        .map(|o| o.text().len() + 1)
        .sum::<usize>();
    let mut body = String::with_capacity(length + 2);
    body.push('[');
    for (index, object) in list.objects.iter().enumerate() {
        if index > 0 {
            body.push(',');
        }
        body.push_str(object.text());
    }
    body.push(']');
    body.into()
}
