//! Opens a hub: its directories, address, certificate and tokens.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use docks_proto::credentials::hub_token::HubTokenError;
use tokio::net::{TcpListener, TcpSocket};

use super::counters::HubCounters;
use super::share::Share;
use super::tls::{CertificateError, ReloadingTls};
use super::token_auth::TokenVerifier;
use crate::config::HubSettings;

/// Connections that the system keeps until they are accepted. One more would have to try again after a second.
const BACKLOG: u32 = 4_096;

/// Why a hub could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The jobs directory cannot be read.
    #[error("could not share {}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// There is no usable token.
    #[error(transparent)]
    Token(#[from] HubTokenError),
    /// The certificate cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The address cannot be listened on.
    #[error("could not listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Cause.
        #[source]
        source: io::Error,
    },
}

/// A hub that listens; it responds once the daemon runs.
#[derive(Debug)]
pub struct Hub {
    pub(super) settings: HubSettings,
    /// What it shares, a tenant each.
    pub(super) shares: Vec<Share>,
    address: SocketAddr,
    pub(super) listener: TcpListener,
    /// `None` if no token is required.
    pub(super) verifier: Option<Arc<TokenVerifier>>,
    pub(super) tls: Option<ReloadingTls>,
    pub(super) counters: Arc<HubCounters>,
}

impl Hub {
    /// Binds the address and reads the certificate and the token. Creates the token if there is none.
    ///
    /// # Errors
    ///
    /// [`HubError`] with what is missing.
    pub async fn open(settings: HubSettings) -> Result<Self, HubError> {
        let jobs = settings.jobs.iter().map(resolved);
        let jobs = jobs.collect::<Result<Vec<_>, _>>()?;
        let mut location: Vec<String> = jobs.iter().map(|dir| dir.display().to_string()).collect();
        let mut shares = Vec::new();
        if !jobs.is_empty() {
            shares.push(Share::jobs(jobs, settings.read_only));
        }
        for profile in &settings.profiles {
            let read_only = settings.read_only || settings.profiles_read_only;
            shares.push(Share::profile(profile.clone(), read_only));
            location.push(format!("profile {profile}"));
        }
        let tls = settings.tls.clone().map(ReloadingTls::load).transpose()?;
        let listen = |source| HubError::Listen {
            address: settings.listen,
            source,
        };
        let listener = bound(settings.listen).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let mut verifier = None;
        if let Some(files) = settings.tokens.clone() {
            let (opened, created) = TokenVerifier::open(files.shared, files.named)?;
            if created {
                tracing::info!("created a token; `docks hub token` shows it");
            }
            verifier = Some(Arc::new(opened));
        }
        let scheme = scheme(tls.is_some());
        let counters = HubCounters {
            address: format!("{scheme}://{address}"),
            location: location.join(", "),
            token: verifier.is_some(),
            read_only: settings.read_only,
            ..HubCounters::default()
        };
        Ok(Self {
            settings,
            shares,
            address,
            listener,
            verifier,
            tls,
            counters: Arc::new(counters),
        })
    }

    /// Returns the address that it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns its counters.
    #[must_use]
    pub fn counters(&self) -> Arc<HubCounters> {
        Arc::clone(&self.counters)
    }

    /// Returns the scheme of its URLs.
    pub(super) fn scheme(&self) -> &'static str {
        scheme(self.tls.is_some())
    }
}

/// Listens on an address.
fn bound(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // As `TcpListener::bind` does: the address can be used again right after the hub has ended.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Resolves a jobs directory.
fn resolved(path: &PathBuf) -> Result<PathBuf, HubError> {
    let failed = |source| HubError::Directory {
        path: path.clone(),
        source,
    };
    let real = std::fs::canonicalize(path).map_err(failed)?;
    match real.is_dir() {
        true => Ok(real),
        false => Err(failed(io::ErrorKind::NotADirectory.into())),
    }
}

fn scheme(tls: bool) -> &'static str {
    if tls { "https" } else { "http" }
}
