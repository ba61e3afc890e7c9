//! Mirrors on disk: whose they are, what their files are called, and which there are.
//!
//! A mirror belongs to an address, a tenant and an owner. `docksd` alone opens the databases; `docks`
//! only needs names, sizes and times, and the same owners for the artifacts that it downloads.

mod files;
mod forget_report;
mod id;
mod identity;
mod inventory;
mod of_profiles;
mod owner;

pub use files::{beside, database_path, id_of_file, shared_path, use_marker, write_use_marker};
pub use forget_report::ForgetReport;
pub use id::MirrorId;
pub use identity::{identity, joined_paths, shared_identity};
pub use inventory::{DeletedFiles, MirrorFile, delete, find, list};
pub use of_profiles::{
    ProfileRemote, api_profiles_of, canonicalize, inherits, remotes_of_profiles,
};
pub use owner::{Fingerprints, OwnedRemote, Owner, TokenFingerprint};

use std::path::{Path, PathBuf};

/// Returns the path of the secret that keys the fingerprints of tokens.
#[must_use]
pub fn secret_path(cache_dir: &Path) -> PathBuf {
    cache_dir.join("mirror-names.key")
}
