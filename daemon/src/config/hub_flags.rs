//! The command-line options of a hub.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::hub::HubOptions;

/// Options of a hub; `docks hub serve` passes them.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Sharing with other machines")]
pub struct HubFlags {
    /// Share jobs directories on this address, for instance 127.0.0.1:7433
    #[arg(long, value_name = "ADDRESS")]
    hub_listen: Option<SocketAddr>,
    /// A jobs directory to share; may be repeated
    #[arg(long, value_name = "DIR")]
    hub_harbor: Vec<PathBuf>,
    /// A profile to share what it mirrors; may be repeated
    #[arg(long, value_name = "NAME")]
    hub_profile: Vec<String>,
    /// Certificate of the hub, a PEM file
    #[arg(long, value_name = "FILE")]
    hub_tls_cert: Option<PathBuf>,
    /// Its private key, a PEM file
    #[arg(long, value_name = "FILE")]
    hub_tls_key: Option<PathBuf>,
    /// File with the hub's shared token, created if there is no token at all
    #[arg(long, value_name = "FILE")]
    hub_token_file: Option<PathBuf>,
    /// File with the tokens of persons
    #[arg(long, value_name = "FILE")]
    hub_tokens_file: Option<PathBuf>,
    /// Require no token; on this machine only
    #[arg(long)]
    hub_no_token: bool,
    /// Listen for other machines without TLS
    #[arg(long)]
    hub_insecure: bool,
    /// Refuse to stop anything through the hub
    #[arg(long)]
    hub_read_only: bool,
    /// URL of the hub for other machines, if it is behind a proxy
    #[arg(long, value_name = "URL")]
    hub_url: Option<String>,
}

impl HubFlags {
    /// Returns the options, not yet checked.
    pub(super) fn options(&self) -> HubOptions {
        HubOptions {
            listen: self.hub_listen,
            jobs: self.hub_harbor.clone(),
            profiles: self.hub_profile.clone(),
            profiles_read_only: None,
            certificate: self.hub_tls_cert.clone(),
            key: self.hub_tls_key.clone(),
            token_file: self.hub_token_file.clone(),
            tokens_file: self.hub_tokens_file.clone(),
            no_token: self.hub_no_token,
            insecure: self.hub_insecure,
            read_only: self.hub_read_only,
            url: self.hub_url.clone(),
        }
    }
}
