//! `docks auth …`, `docks profile …` and `docks config …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use docks_proto::settings::CertificatePin;

use super::deferred::Deferred;

/// Verbs of `docks auth`.
#[derive(Debug, Subcommand)]
pub(crate) enum AuthCommand {
    /// Save the address, tenant and token of a Docks API in a profile
    Login(Deferred<AuthLogin>),
    /// Delete the token of a profile
    Logout(Deferred<AuthLogout>),
    /// Show the remote and the token of a profile, and whether the remote accepts it
    Status(Deferred<AuthStatus>),
}

/// Arguments of `docks auth login`; the profile is the global `--profile`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    docks auth login\n  \
    docks auth login --tenant TENANT_ID --token-stdin < token.txt\n  \
    docks auth login -p staging --api-url https://api.example.com --tenant TENANT_ID")]
pub(crate) struct AuthLogin {
    /// Address of the Docks API
    #[arg(long, value_name = "URL")]
    pub(crate) api_url: Option<String>,
    /// Tenant id
    #[arg(short, long, value_name = "TENANT_ID")]
    pub(crate) tenant: Option<String>,
    /// Read the token from standard input instead of prompting for it
    #[arg(long)]
    pub(crate) token_stdin: bool,
    /// Allow http:// to another machine; the token is then sent unencrypted
    #[arg(long)]
    pub(crate) insecure: bool,
    /// Also trust the certificates in this PEM file, for this profile only
    #[arg(long, value_name = "FILE", conflicts_with = "pin")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Trust only the certificate with this SHA-256 fingerprint, as `docks hub cert` prints it
    #[arg(long, value_name = "FINGERPRINT")]
    pub(crate) pin: Option<CertificatePin>,
    /// Save the token without asking the remote whether it accepts it
    #[arg(long)]
    pub(crate) no_check: bool,
    /// Forget the mirror of the profile and its cached artifacts: the token is another person's
    #[arg(long)]
    pub(crate) forget_mirror: bool,
    /// Option of the Python client; refused, and the error says why
    #[arg(long, hide = true, value_name = "TOKEN", allow_hyphen_values = true)]
    pub(crate) token: Option<String>,
}

/// Arguments of `docks auth logout`; the profile is the global `--profile`.
#[derive(Debug, Args)]
pub(crate) struct AuthLogout {}

/// Arguments of `docks auth status`; the profile is the global `--profile`.
#[derive(Debug, Args)]
pub(crate) struct AuthStatus {}

/// Verbs of `docks profile`.
#[derive(Debug, Subcommand)]
pub(crate) enum ProfileCommand {
    /// List profiles
    List(Deferred<ProfileList>),
    /// Set the default profile
    Use(Deferred<ProfileUse>),
    /// Add or change a profile
    Add(Deferred<ProfileAdd>),
    /// Remove a profile
    Remove(Deferred<ProfileRemove>),
}

/// Arguments of `docks profile list`.
#[derive(Debug, Args)]
pub(crate) struct ProfileList {}

/// Arguments of `docks profile use`.
#[derive(Debug, Args)]
pub(crate) struct ProfileUse {
    /// Name of the profile
    pub(crate) name: String,
}

/// Arguments of `docks profile add`; a jobs directory is the global `--harbor`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    docks profile add staging --api-url https://api.example.com --tenant TENANT_ID\n  \
    docks profile add local --harbor ~/jobs")]
pub(crate) struct ProfileAdd {
    /// Name of the profile
    pub(crate) name: String,
    /// Address of the Docks API
    #[arg(long, value_name = "URL")]
    pub(crate) api_url: Option<String>,
    /// Tenant id
    #[arg(short, long, value_name = "TENANT_ID")]
    pub(crate) tenant: Option<String>,
    /// Allow http:// to another machine; the token is then sent unencrypted
    #[arg(long)]
    pub(crate) insecure: bool,
    /// Also trust the certificates in this PEM file, for this profile only
    #[arg(long, value_name = "FILE", conflicts_with = "pin")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Trust only the certificate with this SHA-256 fingerprint, as `docks hub cert` prints it
    #[arg(long, value_name = "FINGERPRINT")]
    pub(crate) pin: Option<CertificatePin>,
}

/// Arguments of `docks profile remove`.
#[derive(Debug, Args)]
pub(crate) struct ProfileRemove {
    /// Name of the profile
    pub(crate) name: String,
    /// Do not ask for confirmation
    #[arg(short, long)]
    pub(crate) force: bool,
}

/// Verbs of `docks config`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Show every setting and where its value comes from
    Explain(Deferred<ConfigExplain>),
}

/// Arguments of `docks config explain`.
#[derive(Debug, Args)]
pub(crate) struct ConfigExplain {}
