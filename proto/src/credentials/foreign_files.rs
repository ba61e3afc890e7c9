//! Files of docks that belong to somebody else, usually since `sudo docks` has made them.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::Access;
use rustix::process::{getegid, geteuid};

use crate::paths::Paths;
use crate::settings::preferences_file;

/// A file or directory that we need and may not use; as text, a sentence with the command that
/// mends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignFile {
    path: PathBuf,
    owner: u32,
    /// The directory that has to change hands.
    dir: PathBuf,
}

impl ForeignFile {
    /// Finds the first file of docks that belongs to another user and cannot be used; `None` for root.
    ///
    /// Looks at every file, so it is only for explaining a failure.
    #[must_use]
    pub fn find(paths: &Paths) -> Option<Self> {
        let used = Access::READ_OK | Access::WRITE_OK;
        let own = [
            (paths.home.clone(), used),
            (paths.run_dir().to_owned(), used),
            (paths.lifetime_lock(), used),
            (paths.startup_lock(), used),
            (paths.config_file(), Access::READ_OK),
            (preferences_file(paths), Access::READ_OK),
            (paths.token_file(), Access::READ_OK),
            (paths.daemon_file(), Access::READ_OK),
            (paths.cache_dir(), used),
            (paths.log_dir(), used),
        ];
        let inside = [paths.cache_dir(), paths.log_dir()];
        let inside = inside.iter().filter_map(|dir| fs::read_dir(dir).ok());
        let inside = inside.flat_map(|entries| entries.flatten().map(|entry| (entry.path(), used)));
        own.into_iter()
            .chain(inside)
            .find_map(|(path, needed)| Self::at(paths, &path, needed))
    }

    fn at(paths: &Paths, path: &Path, needed: Access) -> Option<Self> {
        let found = fs::symlink_metadata(path).ok()?;
        let is_own = found.uid() == geteuid().as_raw();
        let needed = if found.is_dir() {
            needed | Access::EXEC_OK
        } else {
            needed
        };
        // A link may point to what somebody manages for us.
        if is_own || found.is_symlink() || rustix::fs::access(path, needed).is_ok() {
            return None;
        }
        let dir = if path.starts_with(&paths.home) {
            &paths.home
        } else {
            paths.run_dir()
        };
        Some(Self {
            path: path.to_owned(),
            owner: found.uid(),
            dir: dir.to_owned(),
        })
    }
}

impl fmt::Display for ForeignFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match self.owner {
            0 => write!(f, "{path} belongs to root")?,
            other => write!(f, "{path} belongs to user {other}")?,
        }
        // Numbers, since a name need not be known here, and $USER may be another's.
        let (user, group) = (geteuid().as_raw(), getegid().as_raw());
        let dir = quoted(&self.dir);
        write!(f, "; `sudo chown -R {user}:{group} {dir}` gives it to you")
    }
}

/// Writes a path as one word of a shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+@:,".contains(c);
    if text.chars().all(plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_has_one_word_per_path() {
        let file = ForeignFile {
            path: "/home/it's me/.docks".into(),
            owner: 0,
            dir: "/home/it's me/.docks".into(),
        };
        let text = file.to_string();
        assert!(text.starts_with("/home/it's me/.docks belongs to root; `sudo chown -R "));
        assert!(
            text.ends_with(r" '/home/it'\''s me/.docks'` gives it to you"),
            "{text}"
        );
        assert_eq!(quoted(Path::new("/home/me/.docks")), "/home/me/.docks");
    }
}
