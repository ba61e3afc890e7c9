//! The ladder: the daemon, else the remote itself while a daemon starts.
//!
//! [`Ladder::reach`] says whom to ask. When the daemon then does not answer,
//! [`Ladder::fall`] says whom to ask instead, and when a remote asked directly
//! cannot be reached, [`Ladder::mirror_instead`] waits for the daemon, whose
//! mirror may know. [`Door`] is the daemon's place without any remote in mind;
//! how a daemon is started and ended is in [`start_daemon`] and [`stop_daemon`].

mod daemon_endpoint;
mod direct;
pub(crate) mod request;
mod resolve;
mod start_daemon;
mod stop_daemon;
#[cfg(test)]
mod tests;
mod ways;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

use docks_proto::client::{
    Client, ClientError, Deadlines, HttpsTransport, Limits, SendError, Transport, UnixTransport,
};
use docks_proto::credentials::{self, FoundToken, Keyring, files};
use docks_proto::error::ErrorCode;
use docks_proto::path_encoding::encode_paths;
use docks_proto::routes;
use docks_proto::settings::{ConfigFile, Flags, Profile, Target, resolve};
use http::{HeaderMap, HeaderValue, header};

use crate::args::Global;
use crate::environment::Environment;
use crate::failure::{Failure, Kind};

pub(crate) use crate::failure::{credential_failure, settings_failure};
pub(crate) use daemon_endpoint::Door;
use daemon_endpoint::SocketState;
pub(crate) use start_daemon::{check, docksd, find_docksd};
pub(crate) use stop_daemon::Ended;
pub(crate) use ways::Rungs;

/// How often a command turns back to a daemon that fails it.
const MOST_FALLS: u8 = 2;

/// The option that switches the daemon off for one command.
const OPTION: &str = "--no-daemon";

/// How long a keyring may take; it may ask its owner to unlock it.
const KEYRING_PATIENCE: Duration = Duration::from_secs(5);

/// Who answers.
#[derive(Debug)]
pub(crate) enum Reached {
    /// The daemon, as far as its socket shows; see [`Ladder::fall`].
    Daemon(Client),
    /// The remote itself.
    Remote {
        /// The client for it.
        client: Client,
        /// Why not the daemon, for a line on stderr; `None` while one is being started.
        why: Option<String>,
    },
}

/// The settings of one command, and the ways to whoever answers it.
#[derive(Debug)]
pub(crate) struct Ladder {
    /// The daemon's place.
    pub(crate) door: Door,
    /// What was decided.
    pub(crate) profile: Profile,
    /// What it was decided from.
    pub(crate) file: ConfigFile,
    offline: bool,
    disabled: Option<&'static str>,
    falls: AtomicU8,
    /// Set once the daemon kept us waiting for nothing; it is not waited for twice.
    silent: AtomicBool,
}

impl Ladder {
    /// Decides places, settings and remote.
    ///
    /// # Errors
    ///
    /// What is missing or wrong in options, environment or files.
    pub(crate) fn new(global: &Global, environment: Environment) -> Result<Self, Failure> {
        let door = Door::new(environment)?;
        let environment = &door.environment;
        let file = files::load(&door.places).map_err(|e| settings_failure(&e))?;
        let flags = flags(global, environment);
        let mut profile =
            resolve(&flags, &environment.settings, &file).map_err(|e| settings_failure(&e))?;
        if let Target::HarborJobs { dirs } = &profile.target {
            let real = |dir: &PathBuf| dir.canonicalize().unwrap_or_else(|_| dir.clone());
            profile.target = Target::harbor_jobs(dirs.iter().map(real));
        }
        let disabled = if global.no_daemon {
            Some(OPTION)
        } else if environment.no_daemon {
            Some("DOCKS_NO_DAEMON")
        } else {
            None
        };
        Ok(Self {
            profile,
            file,
            offline: global.offline,
            disabled,
            falls: AtomicU8::new(0),
            silent: AtomicBool::new(false),
            door,
        })
    }

    /// Says whom to ask first; connects to nobody yet where a socket of ours exists.
    ///
    /// # Errors
    ///
    /// When only the daemon could answer and there is none, or when there is no token.
    pub(crate) async fn reach(&self) -> Result<Reached, Failure> {
        if let Some(switch) = self.disabled {
            return self.switched_off(switch);
        }
        match self.door.socket_state() {
            SocketState::Ours => Ok(Reached::Daemon(self.daemon_client()?)),
            SocketState::Absent => self.begin().await,
            SocketState::Foreign(reason) => self.without(reason),
        }
    }

    /// Says whom to ask after the daemon gave this error; `None` when the error is its answer.
    ///
    /// An action that timed out may have been carried out; that is for the caller to weigh.
    ///
    /// # Errors
    ///
    /// As [`Ladder::reach`].
    pub(crate) async fn fall(&self, error: &ClientError) -> Result<Option<Reached>, Failure> {
        let again = self.falls.fetch_add(1, Ordering::Relaxed) < MOST_FALLS;
        let next = match error {
            ClientError::Refused { body, .. } => match &body.detail {
                Some(detail) if detail.code == ErrorCode::ShuttingDown => self.begin().await,
                _ => return Ok(None),
            },
            ClientError::Send(SendError::InvalidRequest(_) | SendError::TooLarge { .. }) => {
                return Ok(None);
            }
            _ if !again => self.without(error.to_string()),
            ClientError::Send(SendError::Connect { .. } | SendError::Broken { .. }) => {
                self.begin().await
            }
            ClientError::Send(SendError::Timeout { .. }) => {
                self.silent.store(true, Ordering::Relaxed);
                self.without(self.door.silence())
            }
            ClientError::Protocol { .. } => self.replace(error).await,
            ClientError::InvalidReply(_) | ClientError::Send(_) => self.without(error.to_string()),
        };
        next.map(Some)
    }

    /// Returns a daemon that answers, starting it if need be and waiting until it is ready.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub(crate) async fn daemon(&self) -> Result<Client, Failure> {
        if let Some(switch) = self.disabled {
            return Err(Failure::usage(format!(
                "only the daemon can do this, and {switch} switches it off"
            )));
        }
        self.door.ready().await?;
        self.daemon_client()
    }

    /// Returns a client for the remote itself.
    ///
    /// # Errors
    ///
    /// When the remote is a jobs directory, which only the daemon reads, or has no token.
    pub(crate) fn remote(&self) -> Result<Client, Failure> {
        let Target::DocksApi { api_url, tenant } = &self.profile.target else {
            return Err(
                Failure::usage("a jobs directory is read by the daemon only")
                    .hint("leave out --no-daemon, and unset DOCKS_NO_DAEMON"),
            );
        };
        let found = self.token()?;
        let limits = Limits {
            insecure: self.profile.insecure,
            ..Limits::default()
        };
        let transport = HttpsTransport::new(api_url, Some(found.token), limits)
            .map_err(|e| Failure::chain(Kind::Failed, "could not use the address", &e))?;
        let ca_file = self.profile.ca_file.clone();
        let transport = transport.with_ca_file(move || ca_file.clone());
        Client::new(
            Transport::Https(Box::new(transport)),
            tenant,
            HeaderMap::new(),
        )
        .map_err(|e| Failure::chain(Kind::Usage, "could not use the tenant", &e))
    }

    /// Waits for the daemon after the remote could not be reached: its mirror may know.
    ///
    /// `None` when there is no daemon to be had; the remote's error is then the answer.
    pub(crate) async fn mirror_instead(&self) -> Option<Client> {
        if self.disabled.is_some() || self.silent.load(Ordering::Relaxed) {
            return None;
        }
        self.daemon().await.ok()
    }

    /// Returns why the daemon that this command started did not come up, if that is known by now.
    pub(crate) fn start_problem(&self) -> Option<String> {
        self.door.start_problem()
    }

    /// Returns what switches the daemon off, if anything does.
    pub(crate) fn disabled(&self) -> Option<&'static str> {
        self.disabled
    }

    /// Finds the token of the profile.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub(crate) fn token(&self) -> Result<FoundToken, Failure> {
        credentials::find_token(
            &self.profile,
            &self.file,
            self.keyring().as_ref(),
            &self.door.places.token_file(),
        )
        .map_err(|e| credential_failure(&e))
    }

    /// Returns the keyring that the environment allows.
    pub(crate) fn keyring(&self) -> Box<dyn Keyring> {
        self.door.keyring()
    }

    /// Returns a client for the socket; nothing is connected.
    pub(crate) fn daemon_client(&self) -> Result<Client, Failure> {
        let transport = UnixTransport::new(self.door.places.socket.clone(), Deadlines::default());
        let headers = self.headers()?;
        Client::new(
            Transport::Unix(transport),
            self.profile.target.tenant(),
            headers,
        )
        .map_err(|e| Failure::chain(Kind::Usage, "could not use the tenant", &e))
    }

    /// Tells the daemon which remote is meant.
    fn headers(&self) -> Result<HeaderMap, Failure> {
        let mut headers = HeaderMap::new();
        let value = |text: &str| {
            HeaderValue::from_str(text)
                .map_err(|_| Failure::usage(format!("`{text}` cannot be sent in a header")))
        };
        match &self.profile.target {
            _ if !self.profile.adhoc => {
                headers.insert(routes::PROFILE, value(&self.profile.name)?);
            }
            Target::HarborJobs { dirs } => {
                headers.insert(routes::HARBOR_JOBS, value(&encode_paths(dirs))?);
            }
            Target::DocksApi { api_url, .. } => {
                headers.insert(routes::API_URL, value(api_url)?);
                headers.insert(header::AUTHORIZATION, self.token()?.token.authorization());
            }
        }
        Ok(headers)
    }

    /// Starts a daemon; waits for it only if nobody else can answer.
    async fn begin(&self) -> Result<Reached, Failure> {
        if self.only_daemon() {
            start_daemon::start(&self.door).await?;
            return Ok(Reached::Daemon(self.daemon_client()?));
        }
        match start_daemon::begin(&self.door).await {
            Ok(start_daemon::Begun::Running) => Ok(Reached::Daemon(self.daemon_client()?)),
            Ok(start_daemon::Begun::Starting) => self.direct(None),
            Err(failure) => self.direct(Some(failure.message)),
        }
    }

    async fn replace(&self, error: &ClientError) -> Result<Reached, Failure> {
        match stop_daemon::replace(&self.door, error).await {
            Ok(()) => self.begin().await,
            Err(failure) if self.only_daemon() => Err(failure),
            Err(failure) => self.direct(Some(failure.message)),
        }
    }

    /// Goes on as somebody asked for; who typed the option needs no word about it.
    fn switched_off(&self, switch: &str) -> Result<Reached, Failure> {
        let off = format!("the daemon is switched off by {switch}");
        if self.only_daemon() {
            return self.without(off);
        }
        self.direct((switch != OPTION).then_some(off))
    }

    /// Goes on without the daemon, where that is possible.
    fn without(&self, why: String) -> Result<Reached, Failure> {
        if self.only_daemon() {
            let (kind, hint) = match self.disabled {
                Some(OPTION) => (Kind::Usage, "leave out --no-daemon"),
                Some(_) => (Kind::Usage, "unset DOCKS_NO_DAEMON"),
                None => (
                    Kind::Unreachable,
                    "see `docks daemon status` and `docks daemon logs`",
                ),
            };
            let whom = match self.profile.target {
                Target::HarborJobs { .. } => "a jobs directory is read by the daemon only",
                Target::DocksApi { .. } => "--offline is answered by the daemon only",
            };
            return Err(Failure::new(kind, format!("{whom}, and {why}")).hint(hint));
        }
        self.direct(Some(why))
    }

    fn direct(&self, why: Option<String>) -> Result<Reached, Failure> {
        let client = self.remote()?;
        Ok(Reached::Remote { client, why })
    }

    /// Tells whether the remote cannot stand in for the daemon.
    fn only_daemon(&self) -> bool {
        self.offline || matches!(self.profile.target, Target::HarborJobs { .. })
    }
}

/// Returns the options that pick a remote; relative directories are meant from where we stand.
pub(crate) fn flags(global: &Global, environment: &Environment) -> Flags {
    let absolute = |dir: &PathBuf| match &environment.directory {
        Some(here) => here.join(dir),
        None => dir.clone(),
    };
    Flags {
        profile: global.profile.clone(),
        harbor: global.harbor.iter().map(absolute).collect(),
    }
}
