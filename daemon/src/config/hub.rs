//! The settings of a hub, and the checks that refuse unsafe ones.

use std::net::SocketAddr;
use std::path::PathBuf;

use docks_proto::paths::Paths;
use docks_proto::settings::{AddressError, LOCAL_TENANT, normalise_api_url};

/// What a hub shares, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubSettings {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The jobs directories, absolute.
    pub jobs: Vec<PathBuf>,
    /// The profiles whose remotes it shares.
    pub profiles: Vec<String>,
    /// Whether nothing can be stopped in them through it.
    pub profiles_read_only: bool,
    /// Certificate chain and key, both PEM files.
    pub tls: Option<TlsFiles>,
    /// The files that hold the tokens; `None` means that the hub requires no token.
    pub tokens: Option<TokenFiles>,
    /// Whether it may listen beyond this machine without TLS.
    pub insecure: bool,
    /// Whether nothing can be stopped through it.
    pub read_only: bool,
    /// The hub's URL for other machines, if it differs from the `Host` header of their requests.
    pub url: Option<String>,
}

/// The hub's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, followed by its chain.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// The files of a hub's tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenFiles {
    /// The token that is shared by everyone.
    pub shared: PathBuf,
    /// The tokens of persons.
    pub named: PathBuf,
}

impl TokenFiles {
    /// Returns the files in a home.
    #[must_use]
    pub fn in_home(paths: &Paths) -> Self {
        Self {
            shared: paths.hub_token_file(),
            named: paths.hub_tokens_file(),
        }
    }
}

/// The settings of a hub as flags and file give them, not yet checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HubOptions {
    /// The address to listen on; required.
    pub listen: Option<SocketAddr>,
    /// The jobs directories; required, if there are no profiles.
    pub jobs: Vec<PathBuf>,
    /// The profiles whose remotes it shares.
    pub profiles: Vec<String>,
    /// As [`HubSettings::profiles_read_only`], which is the default.
    pub profiles_read_only: Option<bool>,
    /// Certificate chain.
    pub certificate: Option<PathBuf>,
    /// Private key.
    pub key: Option<PathBuf>,
    /// The file that holds the shared token, if not the default one.
    pub token_file: Option<PathBuf>,
    /// The file that holds the tokens of persons, if not the default one.
    pub tokens_file: Option<PathBuf>,
    /// Whether the hub requires no token.
    pub no_token: bool,
    /// As [`HubSettings::insecure`].
    pub insecure: bool,
    /// As [`HubSettings::read_only`].
    pub read_only: bool,
    /// As [`HubSettings::url`].
    pub url: Option<String>,
}

/// Why the settings of a hub can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HubConfigError {
    /// No address is given.
    #[error("a hub needs an address to listen on, such as 127.0.0.1:7433")]
    NoAddress,
    /// Nothing to share is given.
    #[error("a hub needs a jobs directory or a profile to share")]
    NothingToShare,
    /// A profile has a name that cannot be that of a tenant.
    #[error(
        "a hub cannot share the profile `{name}`: its name must be a tenant's, and `local` is that of the jobs directories"
    )]
    Profile {
        /// The name.
        name: String,
    },
    /// A relative path, which depends on the current directory.
    #[error("{what} of a hub must be an absolute path, not `{}`", path.display())]
    Relative {
        /// The setting.
        what: &'static str,
        /// The given value.
        path: PathBuf,
    },
    /// A certificate without a key, or the reverse.
    #[error("TLS needs both a certificate and its key")]
    HalfTls,
    /// Without a token, everyone on the network could read everything.
    #[error(
        "{listen} can be reached from other machines, so the hub must require a token; without one it can listen on 127.0.0.1 or [::1] only"
    )]
    OpenToAll {
        /// The address.
        listen: SocketAddr,
    },
    /// Without TLS, everyone on the network path could read the token.
    #[error(
        "{listen} can be reached from other machines, and without TLS everyone on the network path could read the token; give a certificate and its key, or listen on 127.0.0.1 behind a proxy that does TLS, or allow it with `hub_insecure`"
    )]
    Plain {
        /// The address.
        listen: SocketAddr,
    },
    /// A URL that clients can't use.
    #[error("the URL of the hub `{url}` can't be used: {source}")]
    Url {
        /// The given value.
        url: String,
        /// Cause.
        #[source]
        source: AddressError,
    },
}

impl HubOptions {
    /// Whether no setting of a hub is given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Combines flags with the file's settings: a value of a flag wins, and so does a switch that is on.
    #[must_use]
    pub fn or(self, file: Self) -> Self {
        Self {
            listen: self.listen.or(file.listen),
            jobs: or_file(self.jobs, file.jobs),
            profiles: or_file(self.profiles, file.profiles),
            profiles_read_only: self.profiles_read_only.or(file.profiles_read_only),
            certificate: self.certificate.or(file.certificate),
            key: self.key.or(file.key),
            token_file: self.token_file.or(file.token_file),
            tokens_file: self.tokens_file.or(file.tokens_file),
            no_token: self.no_token || file.no_token,
            insecure: self.insecure || file.insecure,
            read_only: self.read_only || file.read_only,
            url: self.url.or(file.url),
        }
    }

    /// Checks the settings; `None` if none is given. `files` are the default ones.
    ///
    /// # Errors
    ///
    /// [`HubConfigError`] if they are incomplete, or would expose secrets.
    pub fn check(self, files: TokenFiles) -> Result<Option<HubSettings>, HubConfigError> {
        if self.is_empty() {
            return Ok(None);
        }
        let listen = self.listen.ok_or(HubConfigError::NoAddress)?;
        if self.jobs.is_empty() && self.profiles.is_empty() {
            return Err(HubConfigError::NothingToShare);
        }
        let jobs = self.jobs.into_iter();
        let jobs = jobs.map(|dir| absolute("the jobs directory", dir));
        let jobs = jobs.collect::<Result<Vec<_>, _>>()?;
        for name in &self.profiles {
            let is_tenant = docks_proto::id::validate(name).is_ok();
            if !is_tenant || (name == LOCAL_TENANT && !jobs.is_empty()) {
                return Err(HubConfigError::Profile { name: name.clone() });
            }
        }
        let tls = match (self.certificate, self.key) {
            (Some(certificate), Some(key)) => Some(TlsFiles {
                certificate: absolute("the certificate", certificate)?,
                key: absolute("the key", key)?,
            }),
            (None, None) => None,
            _ => return Err(HubConfigError::HalfTls),
        };
        let beyond = !listen.ip().to_canonical().is_loopback();
        if beyond && self.no_token {
            return Err(HubConfigError::OpenToAll { listen });
        }
        if beyond && tls.is_none() && !self.insecure {
            return Err(HubConfigError::Plain { listen });
        }
        let url = self.url.map(|url| {
            // It may be on a trusted network, so plain HTTP is left for clients to refuse.
            normalise_api_url(&url, true).map_err(|source| HubConfigError::Url { url, source })
        });
        let tokens = TokenFiles {
            shared: absolute("the token file", self.token_file.unwrap_or(files.shared))?,
            named: absolute("the token file", self.tokens_file.unwrap_or(files.named))?,
        };
        Ok(Some(HubSettings {
            listen,
            jobs,
            profiles: self.profiles,
            profiles_read_only: self.profiles_read_only.unwrap_or(true),
            tls,
            tokens: (!self.no_token).then_some(tokens),
            insecure: self.insecure,
            read_only: self.read_only,
            url: url.transpose()?,
        }))
    }
}

/// A flag that is given wins as a whole.
fn or_file<T>(flags: Vec<T>, file: Vec<T>) -> Vec<T> {
    if flags.is_empty() { file } else { flags }
}

fn absolute(what: &'static str, path: PathBuf) -> Result<PathBuf, HubConfigError> {
    if path.is_absolute() {
        Ok(path)
    } else {
        Err(HubConfigError::Relative { what, path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(listen: &str) -> HubOptions {
        HubOptions {
            listen: Some(listen.parse().unwrap()),
            jobs: vec!["/jobs".into()],
            ..HubOptions::default()
        }
    }

    fn token_files() -> TokenFiles {
        TokenFiles {
            shared: "/h/hub-token".into(),
            named: "/h/hub-tokens.json".into(),
        }
    }

    fn check(options: HubOptions) -> Result<Option<HubSettings>, HubConfigError> {
        options.check(token_files())
    }

    #[test]
    fn a_hub_for_other_machines_needs_a_token_and_tls() {
        for listen in [
            "0.0.0.0:1",
            "[::]:1",
            "192.0.2.7:1",
            "[2001:db8::1]:1",
            "[::ffff:192.0.2.7]:1",
        ] {
            let plain = options(listen);
            assert!(matches!(
                check(plain.clone()),
                Err(HubConfigError::Plain { .. })
            ));
            let tls = HubOptions {
                certificate: Some("/c".into()),
                key: Some("/k".into()),
                ..plain.clone()
            };
            assert!(check(tls.clone()).is_ok());
            for open in [plain.clone(), tls] {
                let open = HubOptions {
                    no_token: true,
                    insecure: true,
                    ..open
                };
                assert!(matches!(check(open), Err(HubConfigError::OpenToAll { .. })));
            }
            let insecure = HubOptions {
                insecure: true,
                ..plain
            };
            assert!(check(insecure).unwrap().unwrap().tokens.is_some());
        }
    }

    #[test]
    fn a_hub_on_loopback_may_do_without_token_and_tls() {
        for listen in [
            "127.0.0.1:1",
            "127.9.9.9:1",
            "[::1]:1",
            "[::ffff:127.0.0.1]:1",
        ] {
            let settings = check(options(listen)).unwrap().unwrap();
            assert_eq!(settings.tokens, Some(token_files()));
            let open = HubOptions {
                no_token: true,
                ..options(listen)
            };
            assert_eq!(check(open).unwrap().unwrap().tokens, None);
        }
        assert_eq!(check(HubOptions::default()), Ok(None));
    }

    #[test]
    fn an_incomplete_hub_is_refused_with_what_is_missing() {
        let no_address = HubOptions {
            listen: None,
            ..options("127.0.0.1:1")
        };
        assert_eq!(check(no_address), Err(HubConfigError::NoAddress));
        let no_jobs = HubOptions {
            jobs: Vec::new(),
            ..options("127.0.0.1:1")
        };
        assert_eq!(check(no_jobs), Err(HubConfigError::NothingToShare));
        let half = HubOptions {
            key: Some("/k".into()),
            ..options("127.0.0.1:1")
        };
        assert_eq!(check(half), Err(HubConfigError::HalfTls));
        let relative = HubOptions {
            jobs: vec!["jobs".into()],
            ..options("127.0.0.1:1")
        };
        assert!(matches!(
            check(relative),
            Err(HubConfigError::Relative { .. })
        ));
        let url = HubOptions {
            url: Some("https://u:p@hub.example".into()),
            ..options("127.0.0.1:1")
        };
        assert!(matches!(check(url), Err(HubConfigError::Url { .. })));
    }
}
