//! Connects to remotes.

use std::sync::Arc;

use docks_proto::client::{HttpsTransport, Limits, SendError};
use docks_proto::settings::Target;

use super::mirror_archive::MirrorArchive;
use super::tokens::Credentials;
use docksd_harbor::HarborJobs;
use docksd_harbor_server::HarborServer;
use docksd_remote::docks_api::DocksApi;
use docksd_remote::{Remote, RemoteError};

/// Connects to remotes. The daemon uses [`NetworkConnector`]; tests have their own.
pub trait RemoteConnector: Send + Sync + 'static {
    /// Returns the remote; sends no request yet.
    ///
    /// `limits` bound what a response may cost. `is_mirrored` says that the remote has a mirror,
    /// so that an unreachable one is not an error. `archive` is that mirror once it is open.
    ///
    /// # Errors
    ///
    /// [`RemoteError`] if no request can ever be sent.
    fn connect(
        &self,
        target: &Target,
        limits: Limits,
        is_mirrored: bool,
        credentials: &Credentials,
        archive: Arc<MirrorArchive>,
    ) -> Result<Arc<dyn Remote>, RemoteError>;
}

/// Connects over the network and to the file system.
#[derive(Debug, Clone, Copy)]
pub struct NetworkConnector;

impl RemoteConnector for NetworkConnector {
    fn connect(
        &self,
        target: &Target,
        limits: Limits,
        is_mirrored: bool,
        credentials: &Credentials,
        archive: Arc<MirrorArchive>,
    ) -> Result<Arc<dyn Remote>, RemoteError> {
        match target {
            Target::DocksApi { api_url, tenant } => {
                let transport =
                    HttpsTransport::new(api_url, None, limits).map_err(RemoteError::Send)?;
                let trust = Arc::clone(&credentials.trust);
                let transport = transport.with_trust(move || trust());
                let token = Arc::clone(&credentials.token);
                let remote = DocksApi::new(transport, tenant, token).map_err(|bad| {
                    RemoteError::Send(SendError::InvalidRequest(format!("bad tenant: {bad}")))
                })?;
                Ok(Arc::new(remote))
            }
            Target::HarborJobs { dirs } => {
                let options = docksd_harbor::Options::default();
                Ok(Arc::new(if is_mirrored {
                    HarborJobs::new(dirs, options)
                } else {
                    HarborJobs::open(dirs, options)?
                }))
            }
            Target::HarborServer { url } => {
                let (token, trust) = (&credentials.token, Arc::clone(&credentials.trust));
                let server =
                    HarborServer::new(url, limits, Arc::clone(token), move || trust(), archive)?;
                Ok(Arc::new(server))
            }
        }
    }
}
