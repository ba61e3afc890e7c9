//! A mirror whose own place cannot be written, as in a read-only home or on a full disk, is opened as a
//! copy in the temporary directory: what is mirrored can be read, and syncing goes on.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use docks_proto::time::UnixMs;

use docksd_mirror::{Identity, Mirror, MirrorError, OpenReport};

/// Distinguishes the copies of one process.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// The directory of a copy, private to its user; it is removed when this is dropped.
#[derive(Debug)]
pub(super) struct MirrorCopy(PathBuf);

impl Drop for MirrorCopy {
    fn drop(&mut self) {
        // The temporary directory is emptied by the system, too.
        fs::remove_dir_all(&self.0).ok();
    }
}

/// An open mirror, and where it is.
pub(super) struct OpenMirror {
    pub(super) mirror: Mirror,
    pub(super) report: OpenReport,
    pub(super) database: PathBuf,
    pub(super) copy: Option<MirrorCopy>,
}

/// Opens a mirror in its own place, or a copy of it below `temporary` where its place is at fault. Blocks.
///
/// # Errors
///
/// [`MirrorError`] of its own place, if no copy can be opened either.
pub(super) fn open(
    database: &Path,
    identity: Identity,
    temporary: &Path,
    now: UnixMs,
) -> Result<OpenMirror, MirrorError> {
    let error = match Mirror::open(database, identity.clone(), now) {
        Ok((mirror, report)) => {
            return Ok(OpenMirror {
                mirror,
                report,
                database: database.to_owned(),
                copy: None,
            });
        }
        Err(error) => error,
    };
    if !error.is_of_place() {
        return Err(error);
    }
    let Ok((copy, path)) = copy_to(temporary, database) else {
        return Err(error);
    };
    let Ok((mirror, report)) = Mirror::open(&path, identity, now) else {
        return Err(error);
    };
    tracing::error!(
        error = docks_proto::error::error_chain(&error),
        copy = %path.display(),
        "the mirror cannot be used where it is; a copy of it is used until docksd is started again"
    );
    Ok(OpenMirror {
        mirror,
        report,
        database: path,
        copy: Some(copy),
    })
}

/// Copies a closed database and its WAL, if they exist, into a new directory.
fn copy_to(temporary: &Path, database: &Path) -> io::Result<(MirrorCopy, PathBuf)> {
    remove_abandoned(temporary);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let directory = temporary.join(format!("{PREFIX}{}-{number}", std::process::id()));
    // Fails if it exists: another user may have made it.
    DirBuilder::new().mode(0o700).create(&directory)?;
    let copy = MirrorCopy(directory);
    let path = copy.0.join(database.file_name().unwrap_or_default());
    for suffix in ["", "-wal"] {
        let beside = |path: &Path| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        match fs::copy(beside(database), beside(&path)) {
            Ok(_) => {}
            // There is nothing to copy.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) => {}
            Err(error) => return Err(error),
        }
    }
    Ok((copy, path))
}

/// Beginning of the names of the directories; the process's id follows.
const PREFIX: &str = "docksd-mirror-";

/// Removes the copies of our processes that were killed.
fn remove_abandoned(temporary: &Path) {
    let own_user = rustix::process::geteuid().as_raw();
    let Ok(entries) = fs::read_dir(temporary) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(process) = name
            .to_str()
            .and_then(|name| name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok())
            .and_then(rustix::process::Pid::from_raw)
        else {
            continue;
        };
        let is_ours = fs::symlink_metadata(entry.path())
            .is_ok_and(|found| found.is_dir() && found.uid() == own_user);
        let has_exited =
            rustix::process::test_kill_process(process) == Err(rustix::io::Errno::SRCH);
        if is_ours && has_exited {
            fs::remove_dir_all(entry.path()).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_used_where_the_place_is_at_fault_and_removed_afterwards() {
        let temporary = tempfile::tempdir().unwrap();
        // A directory below a file can neither exist nor be created.
        let file = temporary.path().join("file");
        fs::write(&file, "").unwrap();
        // The process with this id has surely exited.
        let abandoned = temporary.path().join(format!("{PREFIX}{}-0", i32::MAX));
        fs::create_dir(&abandoned).unwrap();
        let good = temporary.path().join("cache/m.db");
        let identity = || Identity::from("docks test");
        let opened = open(&good, identity(), temporary.path(), UnixMs(0)).unwrap();
        assert_eq!((opened.database, opened.copy.is_none()), (good, true));
        assert!(abandoned.exists());
        let bad = file.join("cache/m.db");
        let opened = open(&bad, identity(), temporary.path(), UnixMs(0));
        if let Ok(opened) = opened {
            assert!(opened.database.starts_with(temporary.path()));
            assert!(opened.database.exists());
            assert!(!abandoned.exists());
            let path = opened.database.clone();
            drop(opened);
            assert!(!path.exists());
        } else {
            panic!("no copy was opened");
        }
    }
}
