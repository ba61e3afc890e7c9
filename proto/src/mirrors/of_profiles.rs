//! Which mirrors the profiles have, and which of them inherits what earlier releases kept.

use std::path::PathBuf;

use super::owner::{OwnedRemote, Owner};
use crate::settings::{ConfigFile, Environment, Flags, Profile, SettingsError, Target, resolve};

/// The remote of a profile, as the profile sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileRemote {
    /// Name of the profile.
    pub profile: String,
    /// Its remote and the owner of its mirror.
    pub remote: OwnedRemote,
    /// Whether what earlier releases kept for all who asked the remote goes to it.
    pub inherits: bool,
}

/// Lists the remotes of all valid profiles.
///
/// `canonicalize` may be [`canonicalize`]; without it, jobs directories are those of the settings,
/// and nothing blocks on a disk that hangs.
#[must_use]
pub fn remotes_of_profiles(
    file: &ConfigFile,
    canonicalize: impl Fn(Target) -> Target,
) -> Vec<ProfileRemote> {
    let names = file.profile_names().into_iter();
    let profiles = names.filter_map(|name| resolve_alone(name, file).ok());
    let remotes = profiles.map(|profile| {
        let owner = match &profile.target {
            Target::DocksApi { .. } | Target::HarborServer { .. } => {
                Owner::Profile(profile.name.clone())
            }
            Target::HarborJobs { .. } => Owner::User,
        };
        let remote = OwnedRemote {
            target: canonicalize(profile.target),
            owner,
        };
        ProfileRemote {
            inherits: inherits(file, &remote),
            profile: profile.name,
            remote,
        }
    });
    remotes.collect()
}

/// Lists the valid profiles of a Docks API or a `harbor serve`.
#[must_use]
pub fn api_profiles_of(file: &ConfigFile, target: &Target) -> Vec<Profile> {
    let names = file.profile_names().into_iter();
    let profiles = names.filter_map(|name| resolve_alone(name, file).ok());
    profiles
        .filter(|profile| profile.target == *target)
        .collect()
}

/// Returns whether what an earlier release kept of a remote, for all profiles together, goes to this
/// owner: it was filled with the token of the first profile.
#[must_use]
pub fn inherits(file: &ConfigFile, id: &OwnedRemote) -> bool {
    let Owner::Profile(name) = &id.owner else {
        return false;
    };
    let profiles = api_profiles_of(file, &id.target);
    profiles.first().is_some_and(|first| first.name == *name)
}

/// Resolves symlinks in the paths of jobs directories, so that two names of one directory share a
/// mirror.
///
/// A directory that does not exist now keeps its path: its mirror can still be read.
#[must_use]
pub fn canonicalize(target: Target) -> Target {
    match target {
        Target::HarborJobs { dirs } => Target::harbor_jobs(dirs.into_iter().map(canonicalize_dir)),
        other @ (Target::DocksApi { .. } | Target::HarborServer { .. }) => other,
    }
}

fn canonicalize_dir(dir: PathBuf) -> PathBuf {
    std::fs::canonicalize(&dir).unwrap_or(dir)
}

/// Resolves a profile from its file only, whatever the environment says.
fn resolve_alone(name: String, file: &ConfigFile) -> Result<Profile, SettingsError> {
    let flags = Flags {
        profile: Some(name),
        ..Flags::default()
    };
    resolve(&flags, &Environment::default(), file)
}
