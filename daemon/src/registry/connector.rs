//! Making the remote behind a target.

use std::sync::Arc;

use docks_proto::client::{HttpsTransport, Limits, SendError};
use docks_proto::settings::Target;

use super::tokens::{Signed, Tokens};
use docksd_harbor::HarborJobs;
use docksd_remote::docks_api::{DocksApi, TokenSource};
use docksd_remote::{Remote, RemoteError};

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
                let transport = transport.with_ca_file(move || trusted.ca_file());
                let source: Arc<dyn TokenSource> = Arc::<Tokens>::clone(tokens);
                let remote = DocksApi::new(transport, tenant, source).map_err(|bad| {
                    RemoteError::Send(SendError::InvalidRequest(format!("bad tenant: {bad}")))
                })?;
                Ok(Arc::new(Signed::new(remote, Arc::clone(tokens))))
            }
            Target::HarborJobs { dirs } => {
                let options = docksd_harbor::Options::default();
                Ok(Arc::new(if known {
                    HarborJobs::new(dirs, options)
                } else {
                    HarborJobs::open(dirs, options)?
                }))
            }
        }
    }
}
