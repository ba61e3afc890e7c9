//! Profiles and settings, and where each value came from.
//!
//! Pure: the text of `config.toml` and the environment come in as values;
//! [`crate::credentials`] reads and writes the files. The order is flag, then
//! environment, then file. Nothing is taken from the current directory.

mod address;
mod edit;
mod file;
mod resolve;
mod store_keys;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

pub use address::{AddressError, normalise_api_url};
pub use edit::{check_profile_name, forget_token_file, remove_profile, set_profile};
pub use edit::{record_token_file, set_default_profile};
pub use file::{ConfigFile, Preferences, StoredProfile, TokenFileOwner, preferences_file};
pub use resolve::resolve;
pub use store_keys::StoreKeys;

use crate::secret::Token;

/// Address of the hosted service, where a profile names none.
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
        /// The directories: at least one, absolute, without doubles and in alphabetical order, so
        /// that naming them in another order names the same remote; see [`Target::harbor_jobs`].
        dirs: Vec<PathBuf>,
    },
}

/// Tenant that stands in paths when the remote is a jobs directory, which has none.
pub const LOCAL_TENANT: &str = "local";

impl Target {
    /// Takes jobs directories in any order.
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
            Target::HarborJobs { .. } => LOCAL_TENANT,
        }
    }
}

/// For people: origin and tenant, or the directories with colons between them.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::DocksApi { api_url, tenant } => write!(f, "{api_url} {tenant}"),
            Target::HarborJobs { dirs } => {
                for (place, dir) in dirs.iter().enumerate() {
                    let colon = if place == 0 { "" } else { ":" };
                    write!(f, "{colon}{}", dir.display())?;
                }
                Ok(())
            }
        }
    }
}

/// Options of the command line that pick a remote.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    /// `-p/--profile`.
    pub profile: Option<String>,
    /// Each `--harbor`, made absolute by the caller.
    pub harbor: Vec<PathBuf>,
}

/// Variables that decide settings, as values; empty ones count as unset.
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
    /// `DOCKS_USE_KEYRING`.
    pub use_keyring: Option<String>,
    /// `DBUS_SESSION_BUS_ADDRESS`: without a session bus there is no keyring on Linux.
    pub session_bus: Option<String>,
    /// `XDG_RUNTIME_DIR`, where the bus lies when its address is not set.
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
    /// A variable.
    Environment(&'static str),
    /// A settings file.
    File(PathBuf),
    /// Nobody said, so this is what it is.
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
    /// Its value; never a token, which reads `set`.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

/// Everything that is decided about the remote of one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Name of the profile; for a directory from a flag, the one that would have been used.
    pub name: String,
    /// What is read.
    pub target: Target,
    /// Token from `DOCKS_TOKEN` or from the profile's own `token` key.
    pub inline_token: Option<Token>,
    /// Where that token came from.
    pub inline_token_from: Option<Origin>,
    /// Whether plain `http://` to another machine is wanted.
    pub insecure: bool,
    /// Certificates to trust for this remote besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Settings of object stores that the profile has.
    pub artifact_settings: ArtifactSettings,
    /// Each value with its origin.
    pub settings: Vec<ExplainedSetting>,
    /// Whether flags or environment changed the remote or its token, so that the daemon cannot
    /// look it up by the profile's name.
    pub adhoc: bool,
    /// Whether tokens stored under the profile's name were stored for this very remote.
    ///
    /// When the environment names another address or tenant they were not, and must not go there.
    pub owns_stored_tokens: bool,
}

/// Keys of a profile that only artifacts need.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ArtifactSettings {
    /// `gcs_bucket`.
    pub gcs_bucket: Option<String>,
    /// `gcp_project`.
    pub gcp_project: Option<String>,
    /// `gcp_region`.
    pub gcp_region: Option<String>,
    /// Where object stores are and what opens them.
    pub stores: StoreKeys,
}

/// Says why settings cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A settings file is no TOML.
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
        /// The system's reason.
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
    /// A profile was named that is not in the file.
    #[error("there is no profile `{name}` (from {origin})")]
    UnknownProfile {
        /// What was named.
        name: String,
        /// Who named it.
        origin: Origin,
        /// Names that exist.
        known: Vec<String>,
    },
    /// Nothing is set up yet.
    #[error("nothing is set up: no profile `{name}`, no jobs directory")]
    NothingSetUp {
        /// The profile that was looked for.
        name: String,
    },
    /// A profile has no tenant.
    #[error("profile `{profile}` has no tenant_id")]
    NoTenant {
        /// The profile.
        profile: String,
    },
    /// A tenant that cannot be part of a path.
    #[error("the tenant from {origin} cannot be used: {problem}")]
    BadTenant {
        /// Where it came from.
        origin: Origin,
        /// Why.
        problem: String,
    },
    /// An address that may not be used.
    #[error("the address from {origin} cannot be used: {source}")]
    AddressError {
        /// Where it came from.
        origin: Origin,
        /// Why.
        #[source]
        source: AddressError,
    },
    /// A relative jobs directory would mean another place in every directory.
    #[error("the jobs directory from {origin} must be an absolute path, not `{}`", path.display())]
    RelativeJobs {
        /// Where it came from.
        origin: Origin,
        /// What it was.
        path: PathBuf,
    },
    /// A relative file would mean another one in every directory.
    #[error("`ca_file` of profile `{profile}` must be an absolute path, not `{}`", path.display())]
    RelativeCaFile {
        /// The profile.
        profile: String,
        /// What it was.
        path: PathBuf,
    },
    /// A profile is both a Docks API and a jobs directory.
    #[error("profile `{profile}` has both `harbor_jobs` and `{other}`")]
    TwoTargets {
        /// The profile.
        profile: String,
        /// The key that contradicts.
        other: &'static str,
    },
    /// Two options that exclude each other.
    #[error("--profile and --harbor both pick a remote")]
    TwoFlags,
    /// A token that no request can carry.
    #[error("the token from {origin} is empty or has characters that no header can carry")]
    BadToken {
        /// Where it came from.
        origin: Origin,
    },
    /// A name that the Python client would write in a way that breaks the file.
    #[error("`{name}` cannot be the name of a profile")]
    BadName {
        /// The name.
        name: String,
    },
    /// A value that the Python client would write in a way that breaks the file.
    #[error("`{key}` cannot hold quotes, backslashes or control characters")]
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
                "Edit {} there; text stands in quotes, and a quote inside it is written \\\". \
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
                "Try `docks auth login`, or `docks --harbor DIR …` for a Harbor jobs directory."
                    .to_owned()
            }
            SettingsError::NoTenant { profile } => {
                format!("Try `docks auth login -p {profile}`, or set DOCKS_TENANT_ID.")
            }
            SettingsError::AddressError {
                source: AddressError::Plain,
                ..
            } => "Use https://, or write insecure = \"true\" in the profile.".to_owned(),
            SettingsError::TwoTargets { profile, other } => {
                format!("Remove one of them from [{profile}]: `harbor_jobs` or `{other}`.")
            }
            SettingsError::BadName { .. } => "Use letters, digits, - and _, at most 64.".to_owned(),
            _ => return None,
        };
        Some(hint)
    }
}
