//! The folders of trials in the data directory of a `harbor serve` on this machine.
//!
//! A server says where its files are only by paths of its own machine, and at a loopback address there may as well
//! be a tunnel to another one. So a path counts only if a data directory is there that belongs to this user and that
//! nobody else can write to.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use crate::beneath::RootDirectory;
use crate::path_encoding::decode_path;

/// The server's database, in its data directory.
const DATABASE: &str = "harbor.sqlite3";
/// The folder of the files in the data directory.
const FILES: &str = "files";
/// The folder of the attempts' files in it.
const ROLLOUTS: &str = "rollouts";
/// The folder of the jobs' files in it.
const JOBS: &str = "jobs";
/// Permissions of a directory that others could write to.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// The trial folders of a server that this user runs on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFiles {
    rollouts: PathBuf,
}

impl ServerFiles {
    /// Finds them by the address of a job's plan: `file://DATA/files/jobs/ID/lock.json`. Blocks.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`] for any other address; [`io::ErrorKind::PermissionDenied`] when the data directory
    /// is another user's; the system's error when it is not here.
    pub fn of_plan(uri: &str) -> io::Result<Self> {
        let path = uri.strip_prefix("file://").map(decode_path);
        let path = path.ok_or(io::ErrorKind::InvalidInput)?;
        Self::above(&path, JOBS)
    }

    /// Finds them by the path of a file of an attempt: `DATA/files/rollouts/ID/…`. Blocks.
    ///
    /// # Errors
    ///
    /// As [`ServerFiles::of_plan`].
    pub fn of_file(path: &Path) -> io::Result<Self> {
        Self::above(path, ROLLOUTS)
    }

    /// Returns the folder with the folders of all attempts, without links in its path.
    #[must_use]
    pub fn rollouts(&self) -> &Path {
        &self.rollouts
    }

    /// Returns the trial's folder of an attempt; `None` if the id or the name is more than a name.
    #[must_use]
    pub fn trial(&self, attempt: &str, name: &str) -> Option<PathBuf> {
        let is_name = |text: &&str| {
            let mut parts = Path::new(*text).components();
            matches!((parts.next(), parts.next()), (Some(Component::Normal(only)), None) if only == *text)
        };
        let [attempt, name] = [attempt, name];
        [attempt, name]
            .iter()
            .all(is_name)
            .then(|| self.rollouts.join(attempt).join(name))
    }

    /// Takes the directory above `files/FOLDER` in a path as data directory.
    fn above(path: &Path, folder: &str) -> io::Result<Self> {
        let is_plain =
            |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
        if !path.is_absolute() || !path.components().all(is_plain) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let inside = Path::new(FILES).join(folder);
        let data = path
            .ancestors()
            .find_map(|above| above.ends_with(&inside).then(|| above.parent()?.parent())?)
            .ok_or(io::ErrorKind::InvalidInput)?;
        let data = data.canonicalize()?;
        let root = RootDirectory::open(&data)?;
        for name in [".", DATABASE, FILES] {
            let found = root.open_file(Path::new(name))?.metadata()?;
            let is_own = found.uid() == rustix::process::geteuid().as_raw();
            if !is_own || found.mode() & WRITABLE_BY_OTHERS != 0 {
                return Err(io::ErrorKind::PermissionDenied.into());
            }
        }
        Ok(Self {
            rollouts: data.join(FILES).join(ROLLOUTS),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::path_encoding::encode_path;

    fn data_directory() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().canonicalize().unwrap().join("my data");
        fs::create_dir_all(data.join("files/rollouts/r/t")).unwrap();
        fs::write(data.join(DATABASE), "").unwrap();
        for own in [data.clone(), data.join("files"), data.join(DATABASE)] {
            fs::set_permissions(own, fs::Permissions::from_mode(0o700)).unwrap();
        }
        (dir, data)
    }

    fn kind(found: io::Result<ServerFiles>) -> io::ErrorKind {
        found.unwrap_err().kind()
    }

    #[test]
    fn a_data_directory_of_this_user_is_found_by_what_is_in_it() {
        let (_dir, data) = data_directory();
        let plan = format!("file://{}/files/jobs/j/lock.json", encode_path(&data));
        let found = ServerFiles::of_plan(&plan).unwrap();
        assert_eq!(found.rollouts(), data.join("files/rollouts"));
        let trial = found.trial("r", "t").unwrap();
        assert_eq!(
            ServerFiles::of_file(&trial.join("trial.log")).unwrap(),
            found
        );
        for name in ["", ".", "..", "a/b", "/", "a/"] {
            assert_eq!(found.trial("r", name), None, "{name}");
            assert_eq!(found.trial(name, "t"), None, "{name}");
        }
    }

    #[test]
    fn nothing_else_is_taken_for_one() {
        let (dir, data) = data_directory();
        let file = |below: &str| ServerFiles::of_file(&data.join(below));
        for other in ["files/jobs/j/lock.json", "x", "files/rollouts/../../secret"] {
            assert_eq!(kind(file(other)), io::ErrorKind::InvalidInput, "{other}");
        }
        let elsewhere = ServerFiles::of_plan("https://h/files/jobs/j/lock.json");
        assert_eq!(kind(elsewhere), io::ErrorKind::InvalidInput);
        let missing = dir.path().join("none/files/rollouts/r/t/trial.log");
        assert_eq!(
            kind(ServerFiles::of_file(&missing)),
            io::ErrorKind::NotFound
        );
        let writable = fs::Permissions::from_mode(0o777);
        fs::set_permissions(data.join("files"), writable).unwrap();
        let shared = file("files/rollouts/r/t/trial.log");
        assert_eq!(kind(shared), io::ErrorKind::PermissionDenied);
        fs::remove_dir_all(data.join("files")).unwrap();
        let other = dir.path().join("other");
        fs::create_dir_all(other.join("rollouts/r/t")).unwrap();
        symlink(&other, data.join("files")).unwrap();
        assert!(file("files/rollouts/r/t/trial.log").is_err());
        fs::remove_file(data.join(DATABASE)).unwrap();
        assert!(file("files/rollouts/r/t/trial.log").is_err());
    }
}
