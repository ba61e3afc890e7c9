//! The directory of the socket, which must be private to our user.

use std::fs::{self, DirBuilder, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

use docks_proto::credentials::trust::ReplaceableDir;

use super::error::ClaimError;

/// Creates the directory with mode 0700, or checks that the existing one is safe.
pub(super) fn prepare(dir: &Path) -> Result<(), ClaimError> {
    let failed = |source| ClaimError::RunDir {
        path: dir.to_owned(),
        source,
    };
    match fs::symlink_metadata(dir) {
        Ok(found) => check(dir, &found),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create(dir).map_err(failed)?;
            // Another process may have created it first, so it is checked as well.
            check(dir, &fs::symlink_metadata(dir).map_err(failed)?)
        }
        Err(error) => Err(failed(error)),
    }
}

fn create(dir: &Path) -> io::Result<()> {
    let builder = || {
        let mut builder = DirBuilder::new();
        builder.mode(0o700);
        builder
    };
    if let Some(parent) = dir.parent() {
        builder().recursive(true).create(parent)?;
    }
    match builder().create(dir) {
        // A umask may have removed some of our own permissions.
        Ok(()) => fs::set_permissions(dir, Permissions::from_mode(0o700)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

fn check(dir: &Path, found: &Metadata) -> Result<(), ClaimError> {
    let unsafe_dir = |why: String| {
        Err(ClaimError::UnsafeDir {
            path: dir.to_owned(),
            why,
        })
    };
    let kind = found.file_type();
    if kind.is_symlink() {
        return unsafe_dir("it is a symlink".to_owned());
    }
    if !kind.is_dir() {
        return unsafe_dir(format!("it is {}, not a directory", describe(found)));
    }
    if found.uid() != own_uid() {
        return unsafe_dir(format!("it belongs to user {}", found.uid()));
    }
    let mode = found.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return unsafe_dir(format!(
            "other users can access it (mode {mode:04o}); run `chmod 700` on it"
        ));
    }
    match ReplaceableDir::find(dir) {
        Some(replaceable) => unsafe_dir(replaceable.to_string()),
        None => Ok(()),
    }
}

/// Describes the kind of a file, for messages.
pub(super) fn describe(found: &Metadata) -> &'static str {
    let kind = found.file_type();
    if kind.is_symlink() {
        "a symlink"
    } else if kind.is_dir() {
        "a directory"
    } else if kind.is_file() {
        "a file"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device or pipe"
    }
}

/// Returns the effective user id of this process.
pub(super) fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}
