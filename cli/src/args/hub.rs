//! `docks hub …`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::deferred::Deferred;

/// Verbs of `docks hub`.
#[derive(Debug, Subcommand)]
pub(crate) enum HubCommand {
    /// Share Harbor jobs directories until Ctrl-C
    Serve(Deferred<HubServe>),
    /// Show, add or revoke the tokens that other machines need
    Token(Deferred<HubToken>),
    /// Make a certificate for the hub and show its fingerprint
    Cert(Deferred<HubCert>),
}

/// Arguments of `docks hub serve`; the jobs directories are the global `--harbor`, or the profile's.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    docks hub serve --harbor ./jobs\n  \
    docks hub serve --harbor ./jobs --listen 0.0.0.0:7433 --tls-cert hub.pem --tls-key hub.key\n  \
    docks hub serve --harbor ./jobs --url https://hub.example.com")]
pub(crate) struct HubServe {
    /// Address and port to listen on; TLS is required unless it is a loopback address
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7433")]
    pub(crate) listen: SocketAddr,
    /// Certificate chain, as a PEM file; read again when it changes. By default that of `docks hub cert`
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Private key of the certificate, as a PEM file
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Listen on a public address without TLS; the token is then sent unencrypted
    #[arg(long)]
    pub(crate) insecure: bool,
    /// Require no token; on a loopback address only
    #[arg(long)]
    pub(crate) no_token: bool,
    /// Do not allow jobs to be stopped through the hub
    #[arg(long)]
    pub(crate) read_only: bool,
    /// Public address of the hub, if it is behind a proxy
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
}

/// Arguments of `docks hub cert`.
#[derive(Debug, Args)]
#[command(
    after_help = "The certificate is signed by its own key, for the names and addresses of this machine. On other \
    machines, `docks auth login --pin FINGERPRINT` trusts it. If there is one already, its fingerprint is shown.\n\n\
    Examples:\n  \
    docks hub cert\n  \
    docks hub cert --name hub.example.com --days 365 --force"
)]
pub(crate) struct HubCert {
    /// Another host name or address of the hub; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Vec<String>,
    /// Number of days until it expires
    #[arg(long, value_name = "DAYS", default_value_t = 3650, value_parser = clap::value_parser!(u32).range(1..=36500))]
    pub(crate) days: u32,
    /// Replace an existing certificate and its key
    #[arg(short, long)]
    pub(crate) force: bool,
}

/// Arguments of `docks hub token`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    docks hub token\n  \
    docks hub token --rotate\n  \
    docks hub token add alice --read-only\n  \
    docks hub token revoke alice")]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct HubToken {
    /// Create a new shared token; the old one is rejected from then on
    #[arg(long)]
    pub(crate) rotate: bool,
    #[command(subcommand)]
    pub(crate) command: Option<HubTokenCommand>,
}

/// Verbs of `docks hub token`.
#[derive(Debug, Subcommand)]
pub(crate) enum HubTokenCommand {
    /// Create a token for one person or program and show it once
    Add(HubTokenAdd),
    /// List the tokens
    List(HubTokenList),
    /// Delete a token; it is rejected from then on
    Revoke(HubTokenRevoke),
}

/// Arguments of `docks hub token add`.
#[derive(Debug, Args)]
pub(crate) struct HubTokenAdd {
    /// Whose it is; appears in the log and in the history of runs that are stopped with it
    pub(crate) name: String,
    /// Do not allow jobs to be stopped with it
    #[arg(long)]
    pub(crate) read_only: bool,
}

/// Arguments of `docks hub token list`.
#[derive(Debug, Args)]
pub(crate) struct HubTokenList {}

/// Arguments of `docks hub token revoke`.
#[derive(Debug, Args)]
pub(crate) struct HubTokenRevoke {
    /// Name of the token
    #[arg(required_unless_present = "shared", conflicts_with = "shared")]
    pub(crate) name: Option<String>,
    /// The token that `docks hub token` shows
    #[arg(long)]
    pub(crate) shared: bool,
}
