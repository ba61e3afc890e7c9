//! The contents of the settings files: `config.toml`, shared with the Python client, and `docks.toml`.

use std::path::{Path, PathBuf};

use toml_edit::{DocumentMut, Item, TableLike};

use super::SettingsError;
use crate::paths::Paths;

/// Returns the path of our own preferences, which the Python client neither reads nor rewrites.
///
/// It could not handle a key outside any profile in `config.toml`.
#[must_use]
pub fn preferences_file(paths: &Paths) -> PathBuf {
    paths.home.join("docks.toml")
}

/// `config.toml`: a table per profile.
#[derive(Clone)]
pub struct ConfigFile {
    path: PathBuf,
    document: DocumentMut,
    preferences: Preferences,
}

/// The contents of `docks.toml`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preferences {
    /// Path of the file.
    pub path: PathBuf,
    /// The profile that `docks profile use` selected.
    pub default_profile: Option<String>,
    /// Maximum size of the artifact cache, as written.
    pub cache_limit: Option<String>,
    /// The recorded owner of the token file.
    pub token_file: Option<TokenFileOwner>,
}

/// Records that the token file belongs to a profile, as long as its token is the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenFileOwner {
    /// The profile.
    pub profile: String,
    /// Fingerprint of the token in the file.
    pub fingerprint: String,
}

/// One profile as written in the file.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct StoredProfile {
    /// `api_url`, as written.
    pub api_url: Option<String>,
    /// `tenant_id`.
    pub tenant_id: Option<String>,
    /// `token`.
    pub token: Option<String>,
    /// `harbor_jobs`: directories, in the file separated by colons; empty for an API.
    pub harbor_jobs: Vec<PathBuf>,
    /// `harbor_server`: the address of a `harbor serve`, as written.
    pub harbor_server: Option<String>,
    /// `insecure = "true"`.
    pub insecure: bool,
    /// `ca_file`: certificates to trust in addition to the system's.
    pub ca_file: Option<PathBuf>,
    /// `pin`: fingerprint of the only certificate to trust, as written.
    pub pin: Option<String>,
    /// `gcs_…`, `gcp_…`, `aws_…`, `azure_…` and `artifact_hosts`.
    pub artifact_settings: super::ArtifactSettings,
}

/// Splits directories at colons, like `PATH`; only `--harbor` can name a directory with a colon.
pub(super) fn split_dirs(text: &std::ffi::OsStr) -> Vec<PathBuf> {
    std::env::split_paths(text)
        .filter(|dir| !dir.as_os_str().is_empty())
        .collect()
}

/// Splits the hosts of `artifact_hosts`.
fn split_hosts(text: &str) -> Vec<String> {
    let hosts = text.split([' ', ',']).filter(|host| !host.is_empty());
    hosts.map(str::to_owned).collect()
}

impl std::fmt::Debug for StoredProfile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredProfile")
            .field("api_url", &self.api_url)
            .field("tenant_id", &self.tenant_id)
            .field("token", &self.token.as_ref().map(|_| "hidden"))
            .field("harbor_jobs", &self.harbor_jobs)
            .field("harbor_server", &self.harbor_server)
            .field("insecure", &self.insecure)
            .field("ca_file", &self.ca_file)
            .field("pin", &self.pin)
            .field("artifact_settings", &self.artifact_settings)
            .finish()
    }
}

impl std::fmt::Debug for ConfigFile {
    /// Omits the document, which may contain tokens.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConfigFile")
            .field("path", &self.path)
            .field("profiles", &self.profile_names())
            .field("preferences", &self.preferences)
            .finish_non_exhaustive()
    }
}

impl ConfigFile {
    /// Creates a file without profiles, for one that does not exist.
    #[must_use]
    pub fn empty(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            document: DocumentMut::new(),
            preferences: Preferences::default(),
        }
    }

    /// Parses the text of `config.toml`; `path` is for messages.
    ///
    /// # Errors
    ///
    /// [`SettingsError::Broken`] with the line number. The line's text is omitted, since it may contain
    /// a token.
    pub fn parse(path: &Path, text: &str) -> Result<Self, SettingsError> {
        Ok(Self {
            path: path.to_owned(),
            document: parse_document(path, text)?,
            preferences: Preferences::default(),
        })
    }

    /// Sets our own preferences.
    #[must_use]
    pub fn with_preferences(mut self, preferences: Preferences) -> Self {
        self.preferences = preferences;
        self
    }

    /// Returns our own preferences.
    #[must_use]
    pub fn preferences(&self) -> &Preferences {
        &self.preferences
    }

    /// Returns the path for messages and origins.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lists the profiles in the order of the file.
    #[must_use]
    pub fn profile_names(&self) -> Vec<String> {
        self.document
            .iter()
            .filter(|(_, item)| item.is_table_like())
            .map(|(name, _)| name.to_owned())
            .collect()
    }

    /// Reads one profile; `None` when the file has none of that name.
    ///
    /// # Errors
    ///
    /// [`SettingsError::WrongType`] when the value of a key that we use is not text.
    pub fn profile(&self, name: &str) -> Result<Option<StoredProfile>, SettingsError> {
        let Some(table) = self.document.get(name).and_then(Item::as_table_like) else {
            return Ok(None);
        };
        let text = |key: &str| self.text(name, table, key);
        let mut stores = super::StoreKeys::default();
        for key in super::StoreKeys::names() {
            if let Some(value) = text(key)? {
                stores.insert(key, value);
            }
        }
        Ok(Some(StoredProfile {
            api_url: text("api_url")?,
            tenant_id: text("tenant_id")?,
            token: text("token")?,
            harbor_jobs: text("harbor_jobs")?
                .map(|text| split_dirs(text.as_ref()))
                .unwrap_or_default(),
            harbor_server: text("harbor_server")?,
            ca_file: text("ca_file")?.map(PathBuf::from),
            pin: text("pin")?,
            insecure: text("insecure")?.is_some_and(|v| v.eq_ignore_ascii_case("true")),
            artifact_settings: super::ArtifactSettings {
                gcs_bucket: text("gcs_bucket")?,
                gcp_project: text("gcp_project")?,
                gcp_region: text("gcp_region")?,
                stores,
                hosts: text("artifact_hosts")?
                    .map(|text| split_hosts(&text))
                    .unwrap_or_default(),
            },
        }))
    }

    /// Reads a key as text; numbers and booleans without quotes count as text.
    fn text(
        &self,
        profile: &str,
        table: &dyn TableLike,
        key: &str,
    ) -> Result<Option<String>, SettingsError> {
        let Some(item) = table.get(key) else {
            return Ok(None);
        };
        let text = if let Some(text) = item.as_str() {
            text.trim().to_owned()
        } else if let Some(number) = item.as_integer() {
            number.to_string()
        } else if let Some(truth) = item.as_bool() {
            truth.to_string()
        } else {
            return Err(SettingsError::WrongType {
                profile: profile.to_owned(),
                key: key.to_owned(),
                path: self.path.clone(),
            });
        };
        Ok(Some(text).filter(|text| !text.is_empty()))
    }
}

impl Preferences {
    /// Parses the text of `docks.toml`.
    ///
    /// # Errors
    ///
    /// [`SettingsError::Broken`] when it is not valid TOML. Unknown keys are ignored: a newer release may
    /// know them.
    pub fn parse(path: &Path, text: &str) -> Result<Self, SettingsError> {
        let document = parse_document(path, text)?;
        let string = |item: Option<&Item>| item.and_then(Item::as_str).map(str::to_owned);
        let owner = document.get("token_file").and_then(Item::as_table_like);
        Ok(Self {
            path: path.to_owned(),
            default_profile: string(document.get("default_profile")).filter(|s| !s.is_empty()),
            cache_limit: string(document.get("cache_limit")).filter(|s| !s.is_empty()),
            token_file: owner.and_then(|table| {
                Some(TokenFileOwner {
                    profile: string(table.get("profile"))?,
                    fingerprint: string(table.get("fingerprint"))?,
                })
            }),
        })
    }
}

/// Parses TOML; the error names the line and what was expected, never the line's text.
pub(super) fn parse_document(path: &Path, text: &str) -> Result<DocumentMut, SettingsError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.parse::<DocumentMut>()
        .map_err(|error| SettingsError::Broken {
            path: path.to_owned(),
            line: error.span().map_or(1, |span| {
                let before = text.bytes().take(span.start);
                before.filter(|byte| *byte == b'\n').count() + 1
            }),
            problem: first_line(error.message()),
        })
}

fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or("unreadable").to_owned()
}
