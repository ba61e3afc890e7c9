//! The hub: one jobs directory, shared over TCP with whoever has the token.
//!
//! Owns the listener and everything that is different when the other side is not our own user:
//! TLS, the token, conditional and compressed answers, artifacts that can be fetched from
//! elsewhere. The answers themselves are those of [`crate::api`], of its Docks API paths alone.
//! `docs/hub.md` says what it is for.

mod artifact;
mod artifact_file;
mod artifact_urls;
mod connections;
mod counters;
mod encoded_response;
mod handler;
mod range;
mod request_checks;
mod tls;
mod token_auth;
mod unauthenticated_slot;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use docks_proto::credentials::hub_token::HubTokenError;
use tokio::net::TcpListener;

pub(crate) use connections::serve;
pub use counters::Counts;

use self::tls::{BadCertificate, Tls};
use self::token_auth::Keeper;
use crate::config::HubSettings;

/// Says why a hub could not begin.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The directory is not there.
    #[error("could not share {}", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// There is no token to ask for.
    #[error(transparent)]
    Token(#[from] HubTokenError),
    /// The certificate is of no use.
    #[error(transparent)]
    Certificate(#[from] BadCertificate),
    /// The address cannot be had.
    #[error("could not listen on {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Cause.
        #[source]
        source: io::Error,
    },
}

/// A hub that listens, and answers once the daemon runs.
#[derive(Debug)]
pub struct Hub {
    settings: HubSettings,
    /// The jobs directory, resolved.
    jobs: PathBuf,
    address: SocketAddr,
    listener: TcpListener,
    /// `None` lets everybody in.
    keeper: Option<Keeper>,
    tls: Option<Tls>,
    counts: Arc<Counts>,
}

impl Hub {
    /// Takes the address, the certificate and the token, which is made if there is none.
    ///
    /// # Errors
    ///
    /// [`HubError`] with what is missing.
    pub async fn open(settings: HubSettings) -> Result<Self, HubError> {
        let directory = |source| HubError::Directory {
            path: settings.jobs.clone(),
            source,
        };
        let jobs = std::fs::canonicalize(&settings.jobs).map_err(directory)?;
        if !jobs.is_dir() {
            return Err(directory(io::ErrorKind::NotADirectory.into()));
        }
        let tls = settings.tls.clone().map(Tls::load).transpose()?;
        let listen = |source| HubError::Listen {
            address: settings.listen,
            source,
        };
        let listener = TcpListener::bind(settings.listen).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let mut keeper = None;
        if let Some(path) = settings.token_file.clone() {
            let (opened, made) = Keeper::open(path)?;
            if made {
                tracing::info!("a token was made; `docks hub token` shows it");
            }
            keeper = Some(opened);
        }
        let mut hub = Self {
            settings,
            jobs,
            address,
            listener,
            keeper,
            tls,
            counts: Arc::default(),
        };
        hub.counts = Arc::new(Counts::new(&hub));
        Ok(hub)
    }

    /// Returns where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns what it counts.
    #[must_use]
    pub fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.counts)
    }

    fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }
}
