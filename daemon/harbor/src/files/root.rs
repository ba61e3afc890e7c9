//! The jobs directory that a folder is in, below which files are opened.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use docks_proto::beneath::RootDirectory;

/// Opens the jobs directory that contains a folder; returns it and the folder's path below it.
pub(super) fn open_root(
    jobs_dirs: &[PathBuf],
    folder: &Path,
) -> io::Result<(RootDirectory, PathBuf)> {
    let mut failure = io::Error::from(io::ErrorKind::NotFound);
    for dir in jobs_dirs {
        let resolved = match dir.canonicalize() {
            Ok(resolved) => resolved,
            Err(error) => {
                if folder.starts_with(dir) {
                    failure = error;
                }
                continue;
            }
        };
        for name in [&resolved, dir] {
            if let Ok(below) = folder.strip_prefix(name) {
                return Ok((RootDirectory::open(&resolved)?, below.to_owned()));
            }
        }
    }
    Err(failure)
}

/// Reads the end of a file of a trial or a job below a jobs directory, at most `most_bytes`. Follows no links. Blocks.
///
/// # Errors
///
/// As [`list_files`](super::list_files), and why the file cannot be read.
pub fn read_end(
    jobs_dirs: &[PathBuf],
    folder: &Path,
    path: &Path,
    most_bytes: u64,
) -> io::Result<Vec<u8>> {
    let (root, below) = open_root(jobs_dirs, folder)?;
    let mut file = root.open_file(&below.join(path))?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(most_bytes)))?;
    let mut end = Vec::new();
    // A log may grow meanwhile.
    file.take(most_bytes).read_to_end(&mut end)?;
    Ok(end)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_end_of_a_file_is_read_and_no_link_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let jobs = dir.path().join("jobs");
        let trial = jobs.join("j/t__AAAAAAA");
        fs::create_dir_all(&trial).unwrap();
        fs::write(trial.join("trial.log"), "one\ntwo\nthree\n").unwrap();
        fs::write(dir.path().join("secret"), "canary").unwrap();
        std::os::unix::fs::symlink(dir.path().join("secret"), trial.join("link.log")).unwrap();
        let dirs = [jobs];
        let read = |path: &str, most| read_end(&dirs, &trial, Path::new(path), most);
        assert_eq!(read("trial.log", 6).unwrap(), b"three\n");
        assert_eq!(read("trial.log", 1_000).unwrap(), b"one\ntwo\nthree\n");
        for path in ["link.log", "../../../secret", "missing"] {
            assert!(read(path, 10).is_err(), "{path}");
        }
        let elsewhere = read_end(&dirs, dir.path(), Path::new("secret"), 10);
        assert!(elsewhere.is_err());
    }
}
