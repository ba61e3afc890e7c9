//! What a hub is told, and which of it would be unsafe.

use std::net::SocketAddr;
use std::path::PathBuf;

use docks_proto::settings::{AddressError, normalise_api_url};

/// How a hub shares one jobs directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubSettings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The jobs directory, absolute.
    pub jobs: PathBuf,
    /// Certificate chain and key, both PEM files.
    pub tls: Option<TlsFiles>,
    /// The file that holds the token; `None` lets everybody on this machine ask.
    pub token_file: Option<PathBuf>,
    /// Whether it may listen beyond this machine without TLS.
    pub insecure: bool,
    /// Whether nothing can be stopped through it.
    pub read_only: bool,
    /// Address under which others reach it, when that is not what they write into `Host`.
    pub url: Option<String>,
}

/// The hub's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Its certificate, then those that vouch for it.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// A hub as flags and file say it, before it is known to make sense.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Where to listen; without it there is no hub.
    pub listen: Option<SocketAddr>,
    /// The jobs directory.
    pub jobs: Option<PathBuf>,
    /// Certificate chain.
    pub certificate: Option<PathBuf>,
    /// Private key.
    pub key: Option<PathBuf>,
    /// Where the token lies instead of its usual place.
    pub token_file: Option<PathBuf>,
    /// Asks for no token.
    pub no_token: bool,
    /// As [`HubSettings::insecure`].
    pub insecure: bool,
    /// As [`HubSettings::read_only`].
    pub read_only: bool,
    /// As [`HubSettings::url`].
    pub url: Option<String>,
}

/// Says why there will be no such hub.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadHub {
    /// Settings without a place to listen.
    #[error("a hub needs an address to listen on, such as 127.0.0.1:7433")]
    NoAddress,
    /// Nothing to share.
    #[error("a hub needs the jobs directory that it shares")]
    NoDirectory,
    /// A path that would mean another place in every directory.
    #[error("{what} of a hub must be an absolute path, not `{}`", path.display())]
    Relative {
        /// Which.
        what: &'static str,
        /// What was given.
        path: PathBuf,
    },
    /// Only one half of TLS.
    #[error("TLS needs both a certificate and its key")]
    HalfTls,
    /// Anybody on the network could read everything.
    #[error(
        "{listen} can be reached from other machines, so a token must be asked for; without one a hub listens on 127.0.0.1 or [::1] only"
    )]
    OpenToAll {
        /// Where it would listen.
        listen: SocketAddr,
    },
    /// Anybody on the way could read the token.
    #[error(
        "{listen} can be reached from other machines, and without TLS everybody on the way could read the token; give a certificate and its key, or listen on 127.0.0.1 behind a proxy that speaks TLS, or say that it shall be insecure"
    )]
    Plain {
        /// Where it would listen.
        listen: SocketAddr,
    },
    /// An address that clients cannot use.
    #[error("the hub's own address `{url}` cannot be used: {source}")]
    Url {
        /// What was given.
        url: String,
        /// Why.
        #[source]
        source: AddressError,
    },
}

impl Wanted {
    /// Tells whether anything was said of a hub.
    #[must_use]
    pub fn is_said(&self) -> bool {
        *self != Self::default()
    }

    /// Lays `self` over what a file says: a value wins, and so does a switch that is on.
    #[must_use]
    pub fn over(self, file: Self) -> Self {
        Self {
            listen: self.listen.or(file.listen),
            jobs: self.jobs.or(file.jobs),
            certificate: self.certificate.or(file.certificate),
            key: self.key.or(file.key),
            token_file: self.token_file.or(file.token_file),
            no_token: self.no_token || file.no_token,
            insecure: self.insecure || file.insecure,
            read_only: self.read_only || file.read_only,
            url: self.url.or(file.url),
        }
    }

    /// Makes settings of it, `None` when nothing was said; `token_file` is the usual place.
    ///
    /// # Errors
    ///
    /// [`BadHub`] for what is incomplete or would show secrets to others.
    pub fn decide(self, token_file: PathBuf) -> Result<Option<HubSettings>, BadHub> {
        if !self.is_said() {
            return Ok(None);
        }
        let listen = self.listen.ok_or(BadHub::NoAddress)?;
        let jobs = absolute("the jobs directory", self.jobs.ok_or(BadHub::NoDirectory)?)?;
        let tls = match (self.certificate, self.key) {
            (Some(certificate), Some(key)) => Some(TlsFiles {
                certificate: absolute("the certificate", certificate)?,
                key: absolute("the key", key)?,
            }),
            (None, None) => None,
            _ => return Err(BadHub::HalfTls),
        };
        let beyond = !listen.ip().to_canonical().is_loopback();
        if beyond && self.no_token {
            return Err(BadHub::OpenToAll { listen });
        }
        if beyond && tls.is_none() && !self.insecure {
            return Err(BadHub::Plain { listen });
        }
        let url = self.url.map(|url| {
            // Whoever says it knows the way; plain http is the clients' to refuse.
            normalise_api_url(&url, true).map_err(|source| BadHub::Url { url, source })
        });
        let token_file = self.token_file.unwrap_or(token_file);
        Ok(Some(HubSettings {
            listen,
            jobs,
            tls,
            token_file: (!self.no_token)
                .then(|| absolute("the token's file", token_file))
                .transpose()?,
            insecure: self.insecure,
            read_only: self.read_only,
            url: url.transpose()?,
        }))
    }
}

fn absolute(what: &'static str, path: PathBuf) -> Result<PathBuf, BadHub> {
    if path.is_absolute() {
        Ok(path)
    } else {
        Err(BadHub::Relative { what, path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(listen: &str) -> Wanted {
        Wanted {
            listen: Some(listen.parse().unwrap()),
            jobs: Some("/jobs".into()),
            ..Wanted::default()
        }
    }

    fn decide(wanted: Wanted) -> Result<Option<HubSettings>, BadHub> {
        wanted.decide("/h/hub-token".into())
    }

    #[test]
    fn beyond_this_machine_there_is_no_hub_without_token_or_tls() {
        for listen in [
            "0.0.0.0:1",
            "[::]:1",
            "192.0.2.7:1",
            "[2001:db8::1]:1",
            "[::ffff:192.0.2.7]:1",
        ] {
            let plain = wanted(listen);
            assert!(matches!(decide(plain.clone()), Err(BadHub::Plain { .. })));
            let tls = Wanted {
                certificate: Some("/c".into()),
                key: Some("/k".into()),
                ..plain.clone()
            };
            assert!(decide(tls.clone()).is_ok());
            for open in [plain.clone(), tls] {
                let open = Wanted {
                    no_token: true,
                    insecure: true,
                    ..open
                };
                assert!(matches!(decide(open), Err(BadHub::OpenToAll { .. })));
            }
            let insecure = Wanted {
                insecure: true,
                ..plain
            };
            assert!(decide(insecure).unwrap().unwrap().token_file.is_some());
        }
    }

    #[test]
    fn on_this_machine_a_hub_may_be_plain_and_open() {
        for listen in [
            "127.0.0.1:1",
            "127.9.9.9:1",
            "[::1]:1",
            "[::ffff:127.0.0.1]:1",
        ] {
            let settings = decide(wanted(listen)).unwrap().unwrap();
            assert_eq!(settings.token_file, Some("/h/hub-token".into()));
            let open = Wanted {
                no_token: true,
                ..wanted(listen)
            };
            assert_eq!(decide(open).unwrap().unwrap().token_file, None);
        }
        assert_eq!(decide(Wanted::default()), Ok(None));
    }

    #[test]
    fn half_a_hub_is_refused_with_what_is_missing() {
        let no_address = Wanted {
            listen: None,
            ..wanted("127.0.0.1:1")
        };
        assert_eq!(decide(no_address), Err(BadHub::NoAddress));
        let no_jobs = Wanted {
            jobs: None,
            ..wanted("127.0.0.1:1")
        };
        assert_eq!(decide(no_jobs), Err(BadHub::NoDirectory));
        let half = Wanted {
            key: Some("/k".into()),
            ..wanted("127.0.0.1:1")
        };
        assert_eq!(decide(half), Err(BadHub::HalfTls));
        let relative = Wanted {
            jobs: Some("jobs".into()),
            ..wanted("127.0.0.1:1")
        };
        assert!(matches!(decide(relative), Err(BadHub::Relative { .. })));
        let url = Wanted {
            url: Some("https://u:p@hub.example".into()),
            ..wanted("127.0.0.1:1")
        };
        assert!(matches!(decide(url), Err(BadHub::Url { .. })));
    }
}
