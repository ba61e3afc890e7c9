//! `docks hub …`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::deferred::Deferred;

/// Verbs of `docks hub`.
#[derive(Debug, Subcommand)]
pub(crate) enum HubCommand {
    /// Share a Harbor jobs directory until Ctrl-C
    Serve(Deferred<HubServe>),
    /// Show or replace the token that other machines need
    Token(Deferred<HubToken>),
}

/// Arguments of `docks hub serve`; the jobs directory is the global `--harbor`, or the profile's.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    docks hub serve --harbor ./jobs\n  \
    docks hub serve --harbor ./jobs --listen 0.0.0.0:7433 --tls-cert hub.pem --tls-key hub.key\n  \
    docks hub serve --harbor ./jobs --url https://hub.example.com")]
pub(crate) struct HubServe {
    /// Address and port to listen on; TLS is required unless it is a loopback address
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7433")]
    pub(crate) listen: SocketAddr,
    /// Certificate chain, as a PEM file; read again when it changes
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

/// Arguments of `docks hub token`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    docks hub token\n  \
    docks hub token --rotate")]
pub(crate) struct HubToken {
    /// Create a new token; the old one is rejected from then on
    #[arg(long)]
    pub(crate) rotate: bool,
}
