//! `docks hub …`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Verbs of `docks hub`.
#[derive(Debug, Subcommand)]
pub(crate) enum HubCommand {
    /// Share a Harbor jobs directory until Ctrl-C
    Serve(HubServe),
    /// Show the token that lets others mirror it, or replace it
    Token(HubToken),
}

/// Arguments of `docks hub serve`; the jobs directory is the global `--harbor`, or the profile's.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    docks hub serve --harbor ./jobs\n  \
    docks hub serve --harbor ./jobs --listen 0.0.0.0:7433 --tls-cert hub.pem --tls-key hub.key\n  \
    docks hub serve --harbor ./jobs --url https://hub.example.com")]
pub(crate) struct HubServe {
    /// Address and port to listen on; beyond this machine only with TLS
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7433")]
    pub(crate) listen: SocketAddr,
    /// Certificate, and those that vouch for it: a PEM file, read again when it is renewed
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Private key of the certificate: a PEM file
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Listen beyond this machine without TLS; the token then travels in the open
    #[arg(long)]
    pub(crate) insecure: bool,
    /// Ask for no token; on a loopback address only
    #[arg(long)]
    pub(crate) no_token: bool,
    /// Let nobody stop a job through the hub
    #[arg(long)]
    pub(crate) read_only: bool,
    /// Address under which others reach the hub, when a proxy stands before it
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
}

/// Arguments of `docks hub token`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    docks hub token\n  \
    docks hub token --rotate")]
pub(crate) struct HubToken {
    /// Make a new token; whoever has the old one is shut out at once
    #[arg(long)]
    pub(crate) rotate: bool,
}
