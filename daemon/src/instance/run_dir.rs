//! The directory of the socket: ours alone, or nothing is put there.

use std::fs::{self, DirBuilder, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

use super::ClaimError;

/// Makes the directory, mode 0700, or checks that the one that is there is safe.
pub(super) fn prepare(dir: &Path) -> Result<(), ClaimError> {
    let failed = |source| ClaimError::RunDir {
        path: dir.to_owned(),
        source,
    };
    match fs::symlink_metadata(dir) {
        Ok(found) => check(dir, &found),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make(dir).map_err(failed)?;
            // Somebody else may have been quicker, so what is there now is checked as well.
            check(dir, &fs::symlink_metadata(dir).map_err(failed)?)
        }
        Err(error) => Err(failed(error)),
    }
}

fn make(dir: &Path) -> io::Result<()> {
    let builder = || {
        let mut builder = DirBuilder::new();
        builder.mode(0o700);
        builder
    };
    if let Some(parent) = dir.parent() {
        builder().recursive(true).create(parent)?;
    }
    match builder().create(dir) {
        // The umask can only take away; what it took from us is given back.
        Ok(()) => fs::set_permissions(dir, Permissions::from_mode(0o700)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

fn check(dir: &Path, found: &Metadata) -> Result<(), ClaimError> {
    let hostile = |why: String| {
        Err(ClaimError::HostileDir {
            path: dir.to_owned(),
            why,
        })
    };
    let kind = found.file_type();
    if kind.is_symlink() {
        return hostile("it is a symlink".to_owned());
    }
    if !kind.is_dir() {
        return hostile(format!("it is {}, not a directory", describe(found)));
    }
    if found.uid() != own_uid() {
        return hostile(format!("it belongs to user {}", found.uid()));
    }
    let mode = found.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return hostile(format!(
            "others may enter it (mode {mode:04o}); `chmod 700` makes it safe"
        ));
    }
    Ok(())
}

/// Names the kind of a file, for messages.
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

/// Returns the user this process acts as.
pub(super) fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}
