//! The client's calls: each sends a request and returns a checked answer.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, header};

use super::answer::{
    Answer, ClientError, check_protocol, check_status, check_streaming, join, parse_json,
};
use super::body::{self, BodyError};
use super::exchange::{Exchange, Exchanges};
use super::expectation::Expectation;
use super::{Reply, Request, SendError, Transport};
use crate::freshness::CachePolicy;
use crate::id::InvalidId;
use crate::mirrors::{ForgetReport, MirrorId};
use crate::object::RawList;
use crate::query::{ListKind, ListQuery};
use crate::routes::{self, Action, ProcessStop, RunKind, TenantRoutes};
use crate::status::{DaemonStatus, SyncProgress};

/// How long the daemon may give no sign of life while it confirms an answer with the remote. The
/// remote can be asked instead, which costs it a request that it has perhaps answered already.
const CONFIRMATION_PATIENCE: Duration = Duration::from_secs(3);

/// The same for an action: if we gave up early, nobody would know whether it was performed.
const ACTION_PATIENCE: Duration = Duration::from_secs(10);

/// The Docks API of one tenant, at the daemon or at the remote.
#[derive(Debug)]
pub struct Client {
    transport: Transport,
    routes: TenantRoutes,
    common_headers: HeaderMap,
    expectation: Option<Expectation>,
    exchanges: Exchanges,
}

impl Client {
    /// Creates a client; every request carries `common_headers`.
    ///
    /// # Errors
    ///
    /// [`InvalidId`] when the tenant cannot be a path segment.
    pub fn new(
        transport: Transport,
        tenant: &str,
        common_headers: HeaderMap,
    ) -> Result<Self, InvalidId> {
        Ok(Self {
            transport,
            routes: TenantRoutes::new(tenant)?,
            common_headers,
            expectation: None,
            exchanges: Exchanges::default(),
        })
    }

    /// Checks what the daemon says about itself in each response, besides its protocol.
    #[must_use]
    pub fn expecting(mut self, expectation: Expectation) -> Self {
        self.expectation = Some(expectation);
        self
    }

    /// Returns the exchanges since the last call of this function, oldest first.
    pub fn take_exchanges(&self) -> Vec<Exchange> {
        self.exchanges.take()
    }

    /// Returns the paths of the client's tenant.
    #[must_use]
    pub fn routes(&self) -> &TenantRoutes {
        &self.routes
    }

    /// Lists runs. A remote other than a `docksd` needs [`list_all_runs`](super::list_all_runs) instead,
    /// since it knows few of the parameters.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn list_runs(
        &self,
        kind: RunKind,
        query: &ListQuery,
        policy: CachePolicy,
    ) -> Result<Answer, ClientError> {
        let path = format!(
            "{}?{}",
            self.routes.runs(kind),
            query.query_string(ListKind::Runs)
        );
        self.list(path, policy).await
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
        policy: CachePolicy,
    ) -> Result<Answer, ClientError> {
        let path = format!(
            "{}?{}",
            self.routes.trials(run)?,
            query.query_string(ListKind::Trials)
        );
        self.list(path, policy).await
    }

    /// Lists the trials of all evaluation runs, each marked with its run; only a `docksd` can.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn all_trials(
        &self,
        query: &ListQuery,
        policy: CachePolicy,
    ) -> Result<Answer, ClientError> {
        let path = format!(
            "{}?{}",
            self.routes.all_trials(),
            query.query_string(ListKind::AllTrials)
        );
        let request = self.request(Request::get(path), policy);
        let reply = self.exchange(request, patience(policy)).await?;
        Ok(reply.into())
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
        policy: CachePolicy,
    ) -> Result<Answer, ClientError> {
        let request = self.request(Request::get(self.routes.run(kind, id)?), policy);
        self.object(request, id, patience(policy)).await
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
        policy: CachePolicy,
    ) -> Result<Answer, ClientError> {
        let request = self.request(Request::get(self.routes.trial(run, trial)?), policy);
        self.object(request, trial, patience(policy)).await
    }

    /// Lists the files of a trial, or a run's own files; only a `docksd` can. The answer is a
    /// [`FileList`](crate::file_list::FileList).
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn files(
        &self,
        run: &str,
        trial: Option<&str>,
        policy: CachePolicy,
    ) -> Result<Answer, ClientError> {
        let path = self.routes.files(run, trial)?;
        let request = self.request(Request::get(path), policy);
        self.object(request, trial.unwrap_or(run), patience(policy))
            .await
    }

    /// Performs an action; the answer is the run afterwards.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn perform(&self, action: Action, id: &str) -> Result<Answer, ClientError> {
        self.perform_at(self.routes.action(action, id)?, id).await
    }

    /// Stops the process of a job through the daemon, as the options say.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn stop_process(
        &self,
        action: Action,
        id: &str,
        options: ProcessStop,
    ) -> Result<Answer, ClientError> {
        let path = format!("{}{}", self.routes.action(action, id)?, options.query());
        self.perform_at(path, id).await
    }

    /// Runs one trial again, through the daemon; returns the run as it is afterwards.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn retry_trial(&self, run: &str, trial: &str) -> Result<Answer, ClientError> {
        self.perform_at(self.routes.retry_trial(run, trial)?, run)
            .await
    }

    async fn perform_at(&self, path: String, id: &str) -> Result<Answer, ClientError> {
        let request = self.request(Request::post(path), CachePolicy::Default);
        self.object(request, id, Some(ACTION_PATIENCE)).await
    }

    /// Checks that the daemon answers, and that it has our protocol.
    ///
    /// # Errors
    ///
    /// [`ClientError`]. A daemon of another build that lacks the route is fine.
    pub async fn ping(&self) -> Result<(), ClientError> {
        let request = self.request(Request::get(routes::PING), CachePolicy::Default);
        let reply = self.transport.send(request).await?;
        self.check_daemon(&reply)
    }

    /// Requests the daemon's status.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn status(&self) -> Result<DaemonStatus, ClientError> {
        let request = self.request(Request::get(routes::STATUS), CachePolicy::Default);
        let reply = self.exchange(request, None).await?;
        parse_json(&reply.body)
    }

    /// Lets the daemon forget a mirror.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn forget(&self, mirror: MirrorId) -> Result<ForgetReport, ClientError> {
        let path = format!("{}?{}={mirror}", routes::FORGET, routes::MIRROR);
        let request = self.request(Request::post(path), CachePolicy::Default);
        // Much may have to be deleted.
        let reply = self.exchange(request, Some(ACTION_PATIENCE)).await?;
        parse_json(&reply.body)
    }

    /// Shuts the daemon down.
    ///
    /// # Errors
    ///
    /// [`ClientError`]. The protocol is not checked: a daemon with another one must stop as well.
    pub async fn shutdown(&self) -> Result<(), ClientError> {
        let request = self.request(Request::post(routes::SHUTDOWN), CachePolicy::Default);
        let reply = self.transport.send(request).await?;
        check_status(reply).map(drop)
    }

    /// Lets the daemon catch up; calls `on_progress` for each step, including the last.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; `InvalidReply` when the stream ends before the sync does.
    pub async fn sync(
        &self,
        full: bool,
        mut on_progress: impl FnMut(SyncProgress),
    ) -> Result<(), ClientError> {
        let Transport::Unix(unix) = &self.transport else {
            let what = "only a daemon can sync";
            return Err(SendError::InvalidRequest(what.to_owned()).into());
        };
        let path = format!("{}?full={full}", routes::SYNC);
        let request = self.request(Request::post(path), CachePolicy::Default);
        let mut reply = unix.clone().with_answer_timeout(None).open(request).await?;
        check_streaming(&mut reply).await?;
        while let Some(line) = reply.next_line().await? {
            if line.is_empty() {
                continue;
            }
            let progress: SyncProgress = parse_json(&line)?;
            let finished = progress.finished;
            on_progress(progress);
            if finished {
                return Ok(());
            }
        }
        let what = "the daemon stopped in the middle of the sync";
        Err(ClientError::InvalidReply(what.to_owned()))
    }

    /// Fetches one page of a list, as the remote returns it.
    pub(super) async fn page(&self, path: String) -> Result<RawList, ClientError> {
        let request = self.request(Request::get(path), CachePolicy::Default);
        let reply = self.exchange(request, None).await?;
        body::parse_list(&reply.body).map_err(|error| self.unreadable(error))
    }

    async fn list(&self, path: String, policy: CachePolicy) -> Result<Answer, ClientError> {
        let request = self.request(Request::get(path), policy);
        let mut reply = self.exchange(request, patience(policy)).await?;
        if matches!(self.transport, Transport::Https(_)) {
            let list = body::parse_list(&reply.body).map_err(|error| self.unreadable(error))?;
            reply.body = join(&list);
        }
        Ok(reply.into())
    }

    async fn object(
        &self,
        request: Request,
        requested_id: &str,
        patience: Option<Duration>,
    ) -> Result<Answer, ClientError> {
        let mut reply = self.exchange(request, patience).await?;
        if matches!(self.transport, Transport::Https(_)) {
            let object = body::parse_object(&reply.body, requested_id)
                .map_err(|error| self.unreadable(error))?;
            reply.body = Bytes::copy_from_slice(object.text().as_bytes());
        }
        Ok(reply.into())
    }

    /// Explains why a body is not an answer.
    fn unreadable(&self, error: BodyError) -> ClientError {
        match error {
            BodyError::Invalid(what) => ClientError::InvalidReply(what),
            BodyError::TooManyElements { limit } => SendError::TooManyElements {
                to: self.transport.name(),
                limit,
            }
            .into(),
        }
    }

    /// Sends a request, and checks the protocol and the status of the response.
    ///
    /// `patience` raises the time that the daemon may give no sign of life.
    async fn exchange(
        &self,
        request: Request,
        patience: Option<Duration>,
    ) -> Result<Reply, ClientError> {
        let (method, path) = (request.method.clone(), request.path.clone());
        let sent = async {
            match (&self.transport, patience) {
                (Transport::Unix(unix), Some(patience)) => {
                    let unix = unix.clone().with_min_answer_timeout(patience);
                    unix.send(request).await
                }
                (transport, _) => transport.send(request).await,
            }
        };
        let reply = self.exchanges.record(method, path, sent).await?;
        if matches!(self.transport, Transport::Unix(_)) {
            self.check_daemon(&reply)?;
        }
        check_status(reply)
    }

    /// Checks that a response comes from a daemon of our protocol, and of the expected build.
    fn check_daemon(&self, reply: &Reply) -> Result<(), ClientError> {
        check_protocol(&reply.headers)?;
        match &self.expectation {
            Some(expectation) => expectation.check(&reply.headers),
            None => Ok(()),
        }
    }

    /// Returns the transport.
    pub(super) fn transport(&self) -> &Transport {
        &self.transport
    }

    /// Requests something of the daemon's own that may take longer than its time-out.
    pub(super) async fn get_from_daemon(
        &self,
        request: Request,
        timeout: Duration,
    ) -> Result<Answer, ClientError> {
        let reply = self.exchange(request, Some(timeout)).await?;
        Ok(reply.into())
    }

    pub(super) fn request(&self, mut request: Request, policy: CachePolicy) -> Request {
        request.headers = self.common_headers.clone();
        if let Some(value) = policy.to_header_value() {
            request.headers.insert(header::CACHE_CONTROL, value);
        }
        request
    }
}

/// Returns how long the daemon may give no sign of life, if not only the transport's own time.
fn patience(policy: CachePolicy) -> Option<Duration> {
    match policy {
        CachePolicy::NoCache | CachePolicy::MaxAge(_) => Some(CONFIRMATION_PATIENCE),
        CachePolicy::Default | CachePolicy::OnlyIfCached => None,
    }
}
