//! Profiles and settings, and the origin of each value.
//!
//! Pure: the text of `config.toml` and the environment are passed in; [`crate::credentials`] reads
//! and writes the files. Flags override the environment, which overrides the file. Nothing is read
//! from the current directory.

mod address;
mod edit;
mod file;
mod resolve;
mod server_profile;
mod store_keys;
#[cfg(test)]
mod tests;
mod trust;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

pub use address::{AddressError, is_on_loopback, normalise_api_url, quote_address};
pub use edit::{check_profile_name, forget_token_file, remove_profile, set_profile};
pub use edit::{record_token_file, set_default_profile};
pub use file::{ConfigFile, Preferences, StoredProfile, TokenFileOwner, preferences_file};
pub use resolve::resolve;
pub use store_keys::StoreKeys;
pub use trust::{CertificatePin, NotAPin, TrustSettings};

use crate::secret::Token;

/// Address of the hosted service, for profiles without `api_url`.
pub const DEFAULT_API_URL: &str = "https://api.docks.thecontextlab.ai";

/// Profile that is used when nothing names one.
pub const DEFAULT_PROFILE: &str = "default";

/// What a profile mirrors.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// A Docks API, hosted or another `docksd`.
    DocksApi {
        /// Origin and path prefix without a trailing slash, for instance `https://api.example`.
        api_url: String,
        /// Tenant id, the first segment of every path.
        tenant: String,
    },
    /// Harbor jobs directories, seen as one remote.
    HarborJobs {
        /// The directories: at least one, absolute, without duplicates and sorted, so the order in
        /// which they are named does not matter; see [`Target::harbor_jobs`].
        dirs: Vec<PathBuf>,
    },
    /// A `harbor serve`.
    HarborServer {
        /// Its address without a trailing slash, for instance `http://127.0.0.1:8390`.
        url: String,
    },
}

/// The tenant in paths for a jobs directory or a `harbor serve`, which have none of their own.
pub const LOCAL_TENANT: &str = "local";

impl Target {
    /// Builds a target from jobs directories in any order.
    #[must_use]
    pub fn harbor_jobs(dirs: impl IntoIterator<Item = PathBuf>) -> Self {
        let dirs: BTreeSet<PathBuf> = dirs.into_iter().collect();
        Target::HarborJobs {
            dirs: dirs.into_iter().collect(),
        }
    }

    /// Returns the tenant that requests to the daemon carry.
    #[must_use]
    pub fn tenant(&self) -> &str {
        match self {
            Target::DocksApi { tenant, .. } => tenant,
            Target::HarborJobs { .. } | Target::HarborServer { .. } => LOCAL_TENANT,
        }
    }
}

/// For people: origin and tenant, the directories with colons between them, or the server's address.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::DocksApi { api_url, tenant } => write!(f, "{api_url} {tenant}"),
            Target::HarborJobs { dirs } => {
                for (index, dir) in dirs.iter().enumerate() {
                    let colon = if index == 0 { "" } else { ":" };
                    write!(f, "{colon}{}", dir.display())?;
                }
                Ok(())
            }
            Target::HarborServer { url } => f.write_str(url),
        }
    }
}

/// The command-line options that select a remote.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    /// `-p/--profile`.
    pub profile: Option<String>,
    /// Each `--harbor`, made absolute by the caller.
    pub harbor: Vec<PathBuf>,
    /// `--harbor-server`.
    pub harbor_server: Option<String>,
    /// The jobs directory where nothing selects a remote: `./jobs` if it is there, made absolute by the caller.
    pub default_harbor: Option<PathBuf>,
}

/// The values of environment variables for settings; empty ones count as unset.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// `DOCKS_API_URL`.
    pub api_url: Option<String>,
    /// `DOCKS_TENANT_ID`.
    pub tenant_id: Option<String>,
    /// `DOCKS_TOKEN`.
    pub token: Option<String>,
    /// `DOCKS_PROFILE`.
    pub profile: Option<String>,
    /// `DOCKS_HARBOR_JOBS`: directories with colons between them.
    pub harbor_jobs: Option<OsString>,
    /// `DOCKS_HARBOR_SERVER`: the address of a `harbor serve`.
    pub harbor_server: Option<String>,
    /// `HARBOR_API_KEY`: the key of a `harbor serve` that the user named, and of nothing else.
    pub harbor_api_key: Option<String>,
    /// `DOCKS_USE_KEYRING`.
    pub use_keyring: Option<String>,
    /// `DBUS_SESSION_BUS_ADDRESS`: without a session bus there is no keyring on Linux.
    pub session_bus: Option<String>,
    /// `XDG_RUNTIME_DIR`, which contains the bus when its address is not set.
    pub runtime_dir: Option<PathBuf>,
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("api_url", &self.api_url)
            .field("tenant_id", &self.tenant_id)
            .field("token", &self.token.as_ref().map(|_| "hidden"))
            .field("profile", &self.profile)
            .field("harbor_jobs", &self.harbor_jobs)
            .field("harbor_server", &self.harbor_server)
            .field(
                "harbor_api_key",
                &self.harbor_api_key.as_ref().map(|_| "hidden"),
            )
            .field("use_keyring", &self.use_keyring)
            .field("session_bus", &self.session_bus)
            .field("runtime_dir", &self.runtime_dir)
            .finish()
    }
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// An option of the command line.
    Flag(&'static str),
    /// An environment variable.
    Environment(&'static str),
    /// A settings file.
    File(PathBuf),
    /// The default.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Flag(name) => write!(f, "option {name}"),
            Origin::Environment(name) => write!(f, "environment {name}"),
            Origin::File(path) => write!(f, "file {}", path.display()),
            Origin::Default => f.write_str("default"),
        }
    }
}

/// One value and its origin, for `docks config explain`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExplainedSetting {
    /// Name of the setting, as in the file.
    pub key: &'static str,
    /// Its value; `set` for a token or another secret.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

/// The resolved settings of one command: its remote and how to access it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Name of the profile; for a directory from a flag, the one that would otherwise be used.
    pub name: String,
    /// The remote.
    pub target: Target,
    /// Token from `DOCKS_TOKEN` or from the profile's own `token` key; of a `harbor serve` from that key or `HARBOR_API_KEY`.
    pub inline_token: Option<Token>,
    /// Where that token came from.
    pub inline_token_from: Option<Origin>,
    /// Whether plain `http://` to another machine is allowed.
    pub insecure: bool,
    /// Certificates to trust for this remote.
    pub trust: TrustSettings,
    /// Settings of object stores.
    pub artifact_settings: ArtifactSettings,
    /// Each value with its origin.
    pub settings: Vec<ExplainedSetting>,
    /// Whether flags or environment changed the remote or its token, so the daemon cannot look it
    /// up by the profile's name.
    pub adhoc: bool,
    /// Whether tokens stored under the profile's name are for this remote.
    ///
    /// They are not if the environment names another address or tenant, and must not be sent there.
    pub owns_stored_tokens: bool,
}

/// Settings of a profile that only artifacts need.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ArtifactSettings {
    /// `gcs_bucket`.
    pub gcs_bucket: Option<String>,
    /// `gcp_project`.
    pub gcp_project: Option<String>,
    /// `gcp_region`.
    pub gcp_region: Option<String>,
    /// Addresses and credentials of object stores.
    pub stores: StoreKeys,
    /// `artifact_hosts`: hosts from which artifacts may be downloaded over plain `http` and at local addresses, each
    /// `HOST` or `HOST:PORT`; in the file separated by spaces or commas.
    pub hosts: Vec<String>,
}

/// Why settings cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A settings file is not valid TOML.
    #[error("{} is not valid TOML, line {line}: {problem}", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What the parser expected there.
        problem: String,
    },
    /// A settings file could not be read or written.
    #[error("could not {doing} {}: {problem}", path.display())]
    File {
        /// `read` or `write`.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        problem: String,
    },
    /// A key of a profile holds something other than text.
    #[error("key `{key}` of profile `{profile}` in {} must be a text in quotes", path.display())]
    WrongType {
        /// The profile.
        profile: String,
        /// The key.
        key: String,
        /// The file.
        path: PathBuf,
    },
    /// The named profile is not in the file.
    #[error("there is no profile `{name}` (from {origin})")]
    UnknownProfile {
        /// Its name.
        name: String,
        /// Where the name came from.
        origin: Origin,
        /// The profiles in the file.
        known: Vec<String>,
    },
    /// Nothing is set up yet.
    #[error("nothing is set up: no profile `{name}`, no jobs directory")]
    NothingSetUp {
        /// The default profile.
        name: String,
    },
    /// A profile has no tenant.
    #[error("profile `{profile}` has no tenant_id")]
    NoTenant {
        /// The profile.
        profile: String,
    },
    /// The tenant cannot be part of a path.
    #[error("the tenant from {origin} cannot be used: {problem}")]
    BadTenant {
        /// Where it came from.
        origin: Origin,
        /// Why.
        problem: String,
    },
    /// The address must not be used.
    #[error(
        "the address {} from {origin} cannot be used: {source}",
        quote_address(text)
    )]
    AddressError {
        /// The address as it is written.
        text: String,
        /// Where it came from.
        origin: Origin,
        /// Why.
        #[source]
        source: AddressError,
    },
    /// A relative jobs directory would depend on the current directory.
    #[error("the jobs directory from {origin} must be an absolute path, not `{}`", path.display())]
    RelativeJobs {
        /// Where it came from.
        origin: Origin,
        /// The path.
        path: PathBuf,
    },
    /// A relative file would depend on the current directory.
    #[error("`ca_file` of profile `{profile}` must be an absolute path, not `{}`", path.display())]
    RelativeCaFile {
        /// The profile.
        profile: String,
        /// The path.
        path: PathBuf,
    },
    /// `pin` is no fingerprint.
    #[error("`pin` of profile `{profile}` cannot be used: {problem}")]
    BadPin {
        /// The profile.
        profile: String,
        /// What a fingerprint looks like.
        problem: NotAPin,
    },
    /// A profile has two kinds of remotes.
    #[error("profile `{profile}` has both `{key}` and `{other}`")]
    TwoTargets {
        /// The profile.
        profile: String,
        /// The key of one remote.
        key: &'static str,
        /// The conflicting key.
        other: &'static str,
    },
    /// Two options exclude each other.
    #[error("{0} and {1} both select a remote")]
    TwoFlags(&'static str, &'static str),
    /// The token cannot be sent in a header.
    #[error("the token from {origin} is empty or has characters that cannot be sent in a header")]
    BadToken {
        /// Where it came from.
        origin: Origin,
    },
    /// The Python client would break the file by writing this name.
    #[error("`{name}` cannot be the name of a profile")]
    BadName {
        /// The name.
        name: String,
    },
    /// The Python client would break the file by writing this value.
    #[error("`{key}` cannot have quotes, backslashes or control characters")]
    BadValue {
        /// The key.
        key: &'static str,
    },
}

impl SettingsError {
    /// Returns what to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            SettingsError::Broken { path, .. } => format!(
                "Edit {} there: put text in quotes, and write a quote inside it as \\\". \
                 The Python client writes quotes without the backslash.",
                path.display()
            ),
            SettingsError::UnknownProfile { known, .. } if !known.is_empty() => {
                format!("Known profiles: {}.", known.join(", "))
            }
            SettingsError::UnknownProfile { name, .. } => {
                format!("Try `docks auth login -p {name}`.")
            }
            SettingsError::NothingSetUp { .. } => {
                "Try `docks auth login`, `docks --harbor DIR …` for a Harbor jobs directory, or \
                 `docks --harbor-server URL …` for a `harbor serve`."
                    .to_owned()
            }
            SettingsError::NoTenant { profile } => {
                format!("Try `docks auth login -p {profile}`, or set DOCKS_TENANT_ID.")
            }
            SettingsError::AddressError {
                source: AddressError::Plain,
                ..
            } => "Use https://, or write insecure = \"true\" in the profile.".to_owned(),
            SettingsError::TwoTargets {
                profile,
                key,
                other,
            } => {
                format!("Remove one of them from [{profile}]: `{key}` or `{other}`.")
            }
            SettingsError::BadName { .. } => "Use letters, digits, - and _, at most 64.".to_owned(),
            _ => return None,
        };
        Some(hint)
    }
}
