//! The remote that options, environment and settings files select, and clients for it.

use std::path::PathBuf;

use docks_proto::client::{Client, HttpsTransport, Limits, Transport, UnixTransport};
use docks_proto::credentials::{self, FoundToken, files};
use docks_proto::settings::{ConfigFile, Flags, Profile, Target, resolve};
use http::HeaderMap;

use super::daemon_endpoint::DaemonEndpoint;
use super::remote_headers::remote_headers;
use super::wait_policy::WaitPolicy;
use crate::args::Global;
use crate::environment::Environment;
use crate::failure::{Failure, Kind, credential_failure, settings_failure};

/// The option that switches the daemon off for one command.
pub(super) const NO_DAEMON_OPTION: &str = "--no-daemon";

/// The remote that a command is about.
#[derive(Debug)]
pub(crate) struct SelectedRemote {
    /// The daemon's endpoint.
    pub(crate) endpoint: DaemonEndpoint,
    /// The selected profile.
    pub(crate) profile: Profile,
    /// The settings files that it was resolved from.
    pub(crate) file: ConfigFile,
    /// What switches the daemon off, if anything does.
    pub(crate) disabled_by: Option<&'static str>,
    offline: bool,
}

impl SelectedRemote {
    /// Resolves paths, settings and remote from the options and the environment.
    ///
    /// # Errors
    ///
    /// What is missing or wrong in options, environment or files.
    pub(crate) fn new(global: &Global, environment: Environment) -> Result<Self, Failure> {
        check_one_named(global)?;
        let endpoint = DaemonEndpoint::new(environment)?;
        let environment = &endpoint.environment;
        let file = files::load(&endpoint.places).map_err(|e| settings_failure(&e))?;
        let flags = profile_flags(global, environment);
        let mut profile =
            resolve(&flags, &environment.settings, &file).map_err(|e| settings_failure(&e))?;
        if let Target::HarborJobs { dirs } = &profile.target {
            let real = |dir: &PathBuf| dir.canonicalize().unwrap_or_else(|_| dir.clone());
            profile.target = Target::harbor_jobs(dirs.iter().map(real));
        }
        let disabled_by = if global.no_daemon {
            Some(NO_DAEMON_OPTION)
        } else if environment.no_daemon {
            Some("DOCKS_NO_DAEMON")
        } else {
            None
        };
        Ok(Self {
            profile,
            file,
            disabled_by,
            offline: global.offline,
            endpoint,
        })
    }

    /// Returns a client for the remote itself.
    ///
    /// # Errors
    ///
    /// When the remote is one that only the daemon asks, or has no token.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        let Target::DocksApi { api_url, tenant } = &self.profile.target else {
            let only = only_daemon(&self.profile.target);
            return Err(
                Failure::usage(only).hint("leave out --no-daemon, and unset DOCKS_NO_DAEMON")
            );
        };
        let found = self.token()?;
        let limits = Limits {
            insecure: self.profile.insecure,
            ..Limits::default()
        };
        let transport = HttpsTransport::new(api_url, Some(found.token), limits)
            .map_err(|e| Failure::chain(Kind::Failed, "could not use the address", &e))?;
        let trust = self.profile.trust.clone();
        let transport = transport.with_trust(move || trust.clone());
        let transport = Transport::Https(Box::new(transport));
        new_client(transport, tenant, HeaderMap::new())
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
            self.endpoint.keyring().as_ref(),
            &self.endpoint.places.token_file(),
        )
        .map_err(|e| credential_failure(&e))
    }

    /// Returns whether runs come from files of this machine, so that asking often costs no remote
    /// anything.
    pub(crate) fn reads_local_files(&self) -> bool {
        matches!(self.profile.target, Target::HarborJobs { .. })
    }

    /// Returns whether only the daemon asks the remote: it derives runs and trials from what that has.
    pub(crate) fn is_asked_by_daemon_only(&self) -> bool {
        !matches!(self.profile.target, Target::DocksApi { .. })
    }

    /// Says what a command waits for when the remote takes long.
    pub(crate) fn wait_notice(&self) -> String {
        format!("waiting for {} …", self.profile.target)
    }

    /// Returns whether the remote cannot answer instead of the daemon.
    pub(crate) fn needs_daemon(&self) -> bool {
        self.offline || self.is_asked_by_daemon_only()
    }
    /// Returns a client for the socket; nothing is connected.
    pub(super) fn daemon_client(&self, policy: WaitPolicy<'_>) -> Result<Client, Failure> {
        let socket = self.endpoint.places.socket.clone();
        let transport = UnixTransport::new(socket, policy.deadlines());
        let client = new_client(
            Transport::Unix(transport),
            self.profile.target.tenant(),
            self.headers()?,
        )?;
        Ok(client.expecting(self.endpoint.expectation().clone()))
    }

    pub(super) fn headers(&self) -> Result<HeaderMap, Failure> {
        remote_headers(&self.profile, || Ok(self.token()?.token))
    }
}

/// Checks that the options name one profile or one server, for a command that is about one remote.
///
/// # Errors
///
/// [`Kind::Usage`] when they name several.
pub(crate) fn check_one_named(global: &Global) -> Result<(), Failure> {
    for (names, option) in [
        (&global.profile, "-p"),
        (&global.harbor_server, "--harbor-server"),
    ] {
        if let [_, _, ..] = &names[..] {
            return Err(Failure::usage(format!(
                "this command is about one remote, not about {}",
                names.join(", ")
            ))
            .hint(format!("name one with {option}")));
        }
    }
    Ok(())
}

/// Says why a remote cannot be asked without the daemon.
pub(super) fn only_daemon(target: &Target) -> &'static str {
    match target {
        Target::HarborJobs { .. } => "only the daemon reads a jobs directory",
        Target::HarborServer { .. } => "only the daemon asks a `harbor serve`",
        Target::DocksApi { .. } => "only the daemon answers --offline",
    }
}

fn new_client(transport: Transport, tenant: &str, headers: HeaderMap) -> Result<Client, Failure> {
    Client::new(transport, tenant, headers)
        .map_err(|e| Failure::chain(Kind::Usage, "could not use the tenant", &e))
}

/// Returns the options that select a remote; relative directories become absolute.
pub(crate) fn profile_flags(global: &Global, environment: &Environment) -> Flags {
    let absolute = |dir: &PathBuf| match &environment.directory {
        Some(here) => here.join(dir),
        None => dir.clone(),
    };
    Flags {
        profile: global.profile.first().cloned(),
        harbor: global.harbor.iter().map(absolute).collect(),
        harbor_server: global.harbor_server.first().cloned(),
        default_harbor: environment
            .directory
            .as_ref()
            .map(|here| here.join("jobs"))
            .filter(|jobs| jobs.is_dir()),
    }
}
