//! The file on disk: its modes, its companions, and moving it aside.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use docks_proto::time::UnixMs;

use crate::error::MirrorError;

/// The database, its WAL and its shared memory.
const SUFFIXES: [&str; 3] = ["", "-wal", "-shm"];

/// Creates the directory (0700) and the file (0600) before SQLite would create them with the umask.
///
/// Returns whether the file is new. SQLite gives the WAL the mode of the file.
pub(super) fn prepare(path: &Path) -> Result<bool, MirrorError> {
    let failed = |source| MirrorError::Prepare {
        path: path.to_owned(),
        source,
    };
    if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(parent)
            .map_err(failed)?;
    }
    let created = match fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
    {
        Ok(_) => true,
        // Not opened here: closing it would release locks that this process may hold on it.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => false,
        Err(error) => return Err(failed(error)),
    };
    for suffix in SUFFIXES {
        match fs::set_permissions(with_suffix(path, suffix), fs::Permissions::from_mode(0o600)) {
            Err(error) if suffix.is_empty() || error.kind() != std::io::ErrorKind::NotFound => {
                return Err(failed(error));
            }
            _ => {}
        }
    }
    Ok(created)
}

/// Renames the file and its WAL to names under which SQLite still reads them together.
///
/// Returns the new path of the file.
///
/// # Errors
///
/// [`MirrorError::Prepare`] when a rename fails.
pub(crate) fn set_aside(path: &Path, now: UnixMs) -> Result<PathBuf, MirrorError> {
    let base = format!(".corrupt-{}", now.0);
    let aside = (0..)
        .map(|n| match n {
            0 => with_suffix(path, &base),
            n => with_suffix(path, &format!("{base}-{n}")),
        })
        .find(|candidate| !candidate.exists())
        .expect("there are infinitely many names");
    for suffix in SUFFIXES {
        let (from, to) = (with_suffix(path, suffix), with_suffix(&aside, suffix));
        match fs::rename(&from, to) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(MirrorError::Prepare { path: from, source });
            }
            _ => {}
        }
    }
    Ok(aside)
}

/// Removes a database and its WAL, if they exist.
pub(super) fn remove(path: &Path) -> std::io::Result<()> {
    for suffix in SUFFIXES {
        match fs::remove_file(with_suffix(path, suffix)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Returns `path` with a suffix appended to its file name.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
