//! The remotes of one command, if its options select several.
//!
//! Each of them has a context of its own, whose options select only it, so that all that a command
//! does with one remote works with each of several.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use docks_proto::credentials::files;
use docks_proto::object::{RawObject, RunFields};

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
    /// What it is called: a profile, or jobs directories.
    pub(crate) name: String,
    /// The context of a command that is about this remote only.
    pub(crate) context: Context,
    /// The jobs directories, if they are several.
    dirs: Vec<PathBuf>,
}

impl NamedRemote {
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

/// Replaces `all` by the names of all profiles, and reads the variable that stands for `--profile`, so
/// that the options say which remotes a command is about.
///
/// # Errors
///
/// When the settings cannot be read, or there are no profiles.
pub(crate) fn expand_profiles(global: &mut Global) -> Result<(), Failure> {
    if global.profile.is_empty() && global.harbor.is_empty() {
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
        if global.profile.len() + global.harbor.len() <= 1 {
            return Ok(None);
        }
        let mut remotes = Vec::new();
        for name in &global.profile {
            let mut own = global.clone();
            own.profile = vec![name.clone()];
            own.harbor.clear();
            remotes.push(NamedRemote {
                name: name.clone(),
                context: context.with_options(own),
                dirs: Vec::new(),
            });
        }
        if !global.harbor.is_empty() {
            remotes.push(jobs(context)?);
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
    let mut own = context.global.clone();
    own.profile.clear();
    let mut dirs = Vec::new();
    for dir in &own.harbor {
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
    Ok(NamedRemote {
        name: names.join(":"),
        context: context.with_options(own),
        dirs,
    })
}

impl Context {
    /// Returns a context with other options and the same output.
    fn with_options(&self, global: Global) -> Self {
        Self {
            global,
            output: Arc::clone(&self.output),
            now: self.now,
        }
    }
}
