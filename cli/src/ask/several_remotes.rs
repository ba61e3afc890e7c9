//! The remotes of one command, if its options select several.
//!
//! Each of them has a context of its own, whose options select only it, so that all that a command
//! does with one remote works with each of several.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use docks_proto::credentials::files;
use docks_proto::object::{RawObject, RunFields};
use docks_proto::settings::{Origin, SettingsError, normalise_api_url};

use super::daemon_endpoint::DaemonEndpoint;
use crate::args::Global;
use crate::context::Context;
use crate::environment::{Environment, profile_variable};
use crate::failure::{Failure, Kind, settings_failure};

/// Stands for all profiles, unless one has this name.
const ALL: &str = "all";

/// Several remotes that one command is about.
#[derive(Debug)]
pub(crate) struct SeveralRemotes {
    /// At least one; one of several jobs directories is one remote with several names.
    pub(crate) remotes: Vec<NamedRemote>,
}

/// One of several remotes.
#[derive(Debug)]
pub(crate) struct NamedRemote {
    /// What it is called: a profile, jobs directories, or the address of a server.
    pub(crate) name: String,
    /// The option that names it.
    pub(crate) option: &'static str,
    /// The context of a command that is about this remote only.
    pub(crate) context: Context,
    /// The jobs directories, if they are several.
    dirs: Vec<PathBuf>,
}

impl NamedRemote {
    fn new(name: impl Into<String>, option: &'static str, context: Context) -> Self {
        Self {
            name: name.into(),
            option,
            context,
            dirs: Vec::new(),
        }
    }

    /// Returns what the remote of a row is called: of several jobs directories, the one that it is in.
    pub(crate) fn name_of(&self, row: &RawObject) -> String {
        if self.dirs.is_empty() {
            return self.name.clone();
        }
        let location = RunFields::from_object(row).remote_ref.text();
        let location = location.as_deref().map(Path::new);
        let longest = self
            .dirs
            .iter()
            .filter(|dir| location.is_some_and(|location| location.starts_with(dir)))
            .max_by_key(|dir| dir.as_os_str().len());
        longest.map_or_else(|| self.name.clone(), |dir| dir.display().to_string())
    }

    /// Names the remote in a failure.
    pub(crate) fn explain(&self, mut failure: Failure) -> Failure {
        failure.message = format!("{}: {}", self.name, failure.message);
        failure
    }
}

/// Lets the options say which remotes a command is about, each once: replaces `all` by the names of all profiles,
/// reads the variable that stands for `--profile`, and writes addresses of servers in their canonical form.
///
/// # Errors
///
/// When the settings cannot be read, an address is not one, or there are no profiles.
pub(crate) fn settle_remotes(global: &mut Global) -> Result<(), Failure> {
    let mut servers: Vec<String> = Vec::new();
    for written in &global.harbor_server {
        let url = canonical(written)?;
        if !servers.contains(&url) {
            servers.push(url);
        }
    }
    global.harbor_server = servers;
    if global.named_remotes().iter().all(|(_, count)| *count == 0) {
        let names = profile_variable().filter(|names| names.contains(',') || names == ALL);
        let names = names.iter().flat_map(|names| names.split(','));
        global.profile = names
            .filter(|name| !name.trim().is_empty())
            .map(|name| name.trim().to_owned())
            .collect();
    }
    if global.profile.len() > 1 {
        global.profile.retain(|name| !name.is_empty());
    }
    if !global.profile.iter().any(|name| name == ALL) {
        let mut seen = std::collections::HashSet::new();
        global.profile.retain(|name| seen.insert(name.clone()));
        return Ok(());
    }
    let endpoint = DaemonEndpoint::new(Environment::of_process())?;
    let file = files::load(&endpoint.places).map_err(|e| settings_failure(&e))?;
    let known = file.profile_names();
    if known.iter().any(|name| name == ALL) {
        return Ok(());
    }
    if known.is_empty() {
        return Err(Failure::usage("there are no profiles")
            .hint("`docks auth login` or `docks profile add` creates one"));
    }
    global.profile = known;
    Ok(())
}

impl SeveralRemotes {
    /// Returns the remotes that the options select; `None` for one.
    ///
    /// # Errors
    ///
    /// When the current directory, which relative directories are in, is unknown.
    pub(crate) fn of(context: &Context) -> Result<Option<Self>, Failure> {
        let global = &context.global;
        let named = global.named_remotes();
        if named.iter().map(|(_, count)| count).sum::<usize>() <= 1 {
            return Ok(None);
        }
        let mut remotes = Vec::new();
        for name in &global.profile {
            let own = context.about(|options| options.profile = vec![name.clone()]);
            remotes.push(NamedRemote::new(name, "-p", own));
        }
        if !global.harbor.is_empty() {
            remotes.push(jobs(context)?);
        }
        for url in &global.harbor_server {
            let own = context.about(|options| options.harbor_server = vec![url.clone()]);
            remotes.push(NamedRemote::new(url, "--harbor-server", own));
        }
        Ok(Some(Self { remotes }))
    }

    /// Lists the names, for messages.
    pub(crate) fn names(&self) -> String {
        let names: Vec<&str> = self.remotes.iter().map(|it| it.name.as_str()).collect();
        names.join(", ")
    }
}

/// The jobs directories, which the daemon sees as one remote.
fn jobs(context: &Context) -> Result<NamedRemote, Failure> {
    let given = &context.global.harbor;
    let mut dirs = Vec::new();
    for dir in given {
        let real = dir.canonicalize().or_else(|_| std::path::absolute(dir));
        let real = real.map_err(|error| {
            let doing = format!("could not use {}", dir.display());
            Failure::chain(Kind::Usage, &doing, &error)
        })?;
        if !dirs.contains(&real) {
            dirs.push(real);
        }
    }
    let names: Vec<String> = dirs.iter().map(|dir| dir.display().to_string()).collect();
    if dirs.len() == 1 {
        dirs.clear();
    }
    let own = context.about(|options| options.harbor.clone_from(given));
    Ok(NamedRemote {
        dirs,
        ..NamedRemote::new(names.join(":"), "--harbor", own)
    })
}

/// Returns the canonical form of a server's address. Whether plain HTTP to it is allowed depends on the profiles.
fn canonical(written: &str) -> Result<String, Failure> {
    normalise_api_url(written, true).map_err(|source| {
        settings_failure(&SettingsError::AddressError {
            text: written.to_owned(),
            origin: Origin::Flag("--harbor-server"),
            source,
        })
    })
}

impl Context {
    /// Returns a context whose options select the remote that `select` names, and no other one.
    fn about(&self, select: impl FnOnce(&mut Global)) -> Self {
        let mut global = self.global.clone();
        global.profile.clear();
        global.harbor.clear();
        global.harbor_server.clear();
        select(&mut global);
        Self {
            global,
            output: Arc::clone(&self.output),
            now: self.now,
        }
    }
}
