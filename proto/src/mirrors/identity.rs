//! The permanent name of a remote and its owner, of which the names of files are made.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::owner::{OwnedRemote, Owner};
use crate::settings::Target;

/// Returns the permanent name of a remote and its owner. A mirror stores it, and refuses to open for
/// another one.
#[must_use]
pub fn identity(id: &OwnedRemote) -> String {
    match id.owner {
        Owner::User => shared_identity(&id.target),
        // No tenant contains a line break.
        Owner::Profile(_) | Owner::Token(_) => {
            format!("{}\n{}", shared_identity(&id.target), id.owner)
        }
    }
}

/// Returns the identity of a mirror without an owner, as jobs directories have it, and as every mirror
/// had it in earlier releases.
#[must_use]
pub fn shared_identity(target: &Target) -> String {
    let kind = match target {
        Target::DocksApi { .. } => "docks_api",
        Target::HarborJobs { .. } => "harbor_jobs",
        Target::HarborServer { .. } => "harbor_server",
    };
    format!("{kind} {target}")
}

/// Joins the paths of directories with NUL, the one byte that no path contains.
#[must_use]
pub fn joined_paths(dirs: &[PathBuf]) -> Vec<u8> {
    let dirs: Vec<&[u8]> = dirs.iter().map(|dir| dir.as_os_str().as_bytes()).collect();
    dirs.join(&0)
}

/// Returns what makes the file of a mirror unique.
pub(super) fn mirror_key(id: &OwnedRemote) -> Vec<u8> {
    match id.owner {
        Owner::User => shared_key(&id.target),
        Owner::Profile(_) | Owner::Token(_) => identity(id).into_bytes(),
    }
}

/// Returns what makes the file of a mirror without an owner unique.
pub(super) fn shared_key(target: &Target) -> Vec<u8> {
    match target {
        Target::DocksApi { .. } | Target::HarborServer { .. } => {
            shared_identity(target).into_bytes()
        }
        // From bytes, since two paths may differ only in bytes that are not UTF-8.
        Target::HarborJobs { dirs } => [b"harbor_jobs ", joined_paths(dirs).as_slice()].concat(),
    }
}
