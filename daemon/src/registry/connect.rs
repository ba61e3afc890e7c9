//! Making the remote behind a target.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use docks_proto::client::{HttpsTransport, Limits, SendError};
use docks_proto::object::RawObject;
use docks_proto::routes::{Action, RunKind};
use docks_proto::settings::Target;
use tokio::sync::Notify;

use super::tokens::{Signed, Tokens};
use crate::remote::docks_api::{DocksApi, TokenSource};
use crate::remote::harbor_jobs::{self, HarborJobs};
use crate::remote::{
    Fetched, Following, News, Page, PageRequest, Remote, RemoteError, Traits, Validator,
};

/// Makes remotes. The daemon's is [`Network`]; tests bring their own.
pub trait Connect: Send + Sync + 'static {
    /// Returns the remote; asks nobody yet.
    ///
    /// `limits` bound what an answer may cost; `known` says that it has a mirror, so that being
    /// out of reach for now is no error.
    ///
    /// # Errors
    ///
    /// [`RemoteError`] when it never can be asked.
    fn connect(
        &self,
        target: &Target,
        limits: Limits,
        known: bool,
        tokens: &Arc<Tokens>,
    ) -> Result<Arc<dyn Remote>, RemoteError>;
}

/// The real remotes.
#[derive(Debug, Clone, Copy)]
pub struct Network;

impl Connect for Network {
    fn connect(
        &self,
        target: &Target,
        limits: Limits,
        known: bool,
        tokens: &Arc<Tokens>,
    ) -> Result<Arc<dyn Remote>, RemoteError> {
        match target {
            Target::DocksApi { api_url, tenant } => {
                let transport =
                    HttpsTransport::new(api_url, None, limits).map_err(RemoteError::Send)?;
                let trusted = Arc::clone(tokens);
                let transport = transport.trusting(move || trusted.ca_file());
                let source: Arc<dyn TokenSource> = Arc::<Tokens>::clone(tokens);
                let remote = DocksApi::new(transport, tenant, source).map_err(|bad| {
                    RemoteError::Send(SendError::Unsendable(format!("bad tenant: {bad}")))
                })?;
                Ok(Arc::new(Signed::new(remote, Arc::clone(tokens))))
            }
            Target::HarborJobs { dir } => {
                let jobs = Jobs::new(dir.clone());
                if !known {
                    jobs.opened()?;
                }
                Ok(Arc::new(jobs))
            }
        }
    }
}

/// A jobs directory that may be out of reach for now, such as one on a disk that is not mounted.
struct Jobs {
    dir: PathBuf,
    opened: OnceLock<HarborJobs>,
    /// Woken when it is within reach for the first time.
    found: Notify,
}

impl Jobs {
    fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            opened: OnceLock::new(),
            found: Notify::new(),
        }
    }

    fn opened(&self) -> Result<&HarborJobs, RemoteError> {
        if let Some(jobs) = self.opened.get() {
            return Ok(jobs);
        }
        let jobs = HarborJobs::open(&self.dir, harbor_jobs::Options::default())?;
        let jobs = self.opened.get_or_init(|| jobs);
        self.found.notify_one();
        Ok(jobs)
    }
}

#[async_trait]
impl Remote for Jobs {
    fn traits(&self) -> Traits {
        Traits {
            kind: "harbor_jobs",
            metered: false,
            whole_lists: true,
        }
    }

    async fn list(
        &self,
        kind: RunKind,
        page: &PageRequest,
        validator: Option<&Validator>,
    ) -> Result<Fetched<Page>, RemoteError> {
        self.opened()?.list(kind, page, validator).await
    }

    async fn run(
        &self,
        kind: RunKind,
        id: &str,
        validator: Option<&Validator>,
    ) -> Result<Fetched<RawObject>, RemoteError> {
        self.opened()?.run(kind, id, validator).await
    }

    async fn trials(
        &self,
        run: &str,
        validator: Option<&Validator>,
    ) -> Result<Fetched<Page>, RemoteError> {
        self.opened()?.trials(run, validator).await
    }

    async fn trial(&self, run: &str, trial: &str) -> Result<RawObject, RemoteError> {
        self.opened()?.trial(run, trial).await
    }

    async fn act(&self, action: Action, id: &str) -> Result<RawObject, RemoteError> {
        self.opened()?.act(action, id).await
    }

    async fn kill(&self, action: Action, id: &str) -> Result<RawObject, RemoteError> {
        self.opened()?.kill(action, id).await
    }

    async fn changed(&self) {
        loop {
            match self.opened.get() {
                Some(jobs) => return jobs.changed().await,
                None => self.found.notified().await,
            }
        }
    }

    async fn news(&self) -> Result<News, RemoteError> {
        self.opened()?.news().await
    }

    fn following(&self) -> Following {
        match self.opened.get() {
            Some(jobs) => jobs.following(),
            None => Following::Rescans {
                why: "the directory was not within reach yet".to_owned(),
            },
        }
    }
}
