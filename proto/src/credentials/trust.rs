//! Who can replace or read what docks trusts: its directories, and its files of settings and secrets.
//!
//! Only our user and root are trusted. Everybody else could put another file or socket where one of ours is, and would
//! get what is sent to it.

use std::fmt;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use rustix::process::{getegid, geteuid};

use crate::paths::PathVariables;

/// Permissions of group and others to write.
const OTHERS_WRITE: u32 = 0o022;
/// Permissions of group and others.
const OTHERS: u32 = 0o077;
/// Entries of such a directory can be renamed and removed only by their owners, as in `/tmp`.
const STICKY: u32 = 0o1000;
/// How many links a path may go through, as for the system.
const MAX_LINKS: usize = 40;
/// The id that stands for all users who have none in a user namespace.
const UNMAPPED: u32 = 65_534;

/// A directory that somebody else can change, so that what is in it cannot be trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplaceableDir {
    path: PathBuf,
    owner: u32,
    mode: u32,
}

impl ReplaceableDir {
    /// Finds the first directory on the way to a directory, with itself, in which others can replace something; a path
    /// that goes through links is followed through each of them. What does not exist yet is trusted.
    #[must_use]
    pub fn find(dir: &Path) -> Option<Self> {
        let mut path = dir.to_owned();
        for _ in 0..MAX_LINKS {
            match look(&path) {
                Looked::Link(target) => path = target,
                Looked::Whole(found) => return found,
            }
        }
        None
    }
}

impl fmt::Display for ReplaceableDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        if is_trusted(self.owner) {
            let mode = self.mode & 0o7777;
            return write!(
                f,
                "other users can write to {path} (mode {mode:04o}); `chmod go-w` on it, or set DOCKS_SOCKET or DOCKS_HOME to a private place"
            );
        }
        write!(
            f,
            "{path} belongs to user {}, who can replace what is in it; set DOCKS_SOCKET or DOCKS_HOME to a private place",
            self.owner
        )
    }
}

enum Looked {
    /// The path with its first link resolved.
    Link(PathBuf),
    Whole(Option<ReplaceableDir>),
}

fn look(path: &Path) -> Looked {
    let mut walked = PathBuf::new();
    let mut rest = path.components();
    while let Some(component) = rest.next() {
        match component {
            Component::ParentDir => {
                walked.pop();
            }
            component => walked.push(component),
        }
        let Ok(found) = fs::symlink_metadata(&walked) else {
            break;
        };
        if found.is_symlink() {
            // Who owns the link has no say in where it leads: only its directory can be changed, which was looked at.
            let Ok(target) = fs::read_link(&walked) else {
                break;
            };
            walked.pop();
            return Looked::Link(walked.join(target).join(rest.as_path()));
        }
        let is_safe =
            is_trusted(found.uid()) && (!others_can_write(&found) || found.mode() & STICKY != 0);
        if !is_safe {
            return Looked::Whole(Some(ReplaceableDir {
                path: walked,
                owner: found.uid(),
                mode: found.mode(),
            }));
        }
    }
    Looked::Whole(None)
}

/// Whether somebody other than the owner can write. The group that a user has alone counts as the user, and that of root as root.
fn others_can_write(found: &Metadata) -> bool {
    let own = geteuid().as_raw();
    let is_own_group = found.gid() == 0 || (found.gid() == own && getegid().as_raw() == own);
    let others = if is_own_group { 0o002 } else { OTHERS_WRITE };
    found.mode() & others != 0
}

/// Whether a user is ours, or root. In a user namespace root may have no id.
fn is_trusted(owner: u32) -> bool {
    owner == 0 || owner == geteuid().as_raw() || (owner == UNMAPPED && !is_mapped(owner))
}

fn is_mapped(user: u32) -> bool {
    let Ok(map) = fs::read_to_string("/proc/self/uid_map") else {
        return true;
    };
    map.lines().any(|line| {
        let mut numbers = line
            .split_whitespace()
            .filter_map(|word| word.parse::<u64>().ok());
        let (first, _, count) = (numbers.next(), numbers.next(), numbers.next());
        first.zip(count).is_some_and(|(first, count)| {
            (first..first.saturating_add(count)).contains(&u64::from(user))
        })
    })
}

/// Refuses a file of settings or secrets that somebody else owns or can write.
///
/// # Errors
///
/// Why it is refused, and what mends it.
pub fn check_file(path: &Path, found: &Metadata) -> io::Result<()> {
    let why = if !is_trusted(found.uid()) {
        format!(
            "it belongs to user {}; `chown {} {}` gives it to you",
            found.uid(),
            geteuid().as_raw(),
            path.display()
        )
    } else if found.is_file() && others_can_write(found) {
        let mode = found.mode() & 0o7777;
        format!(
            "other users can write it (mode {mode:04o}); `chmod 600 {}` protects it",
            path.display()
        )
    } else {
        return Ok(());
    };
    let error = format!("{why}, so it is not used");
    Err(io::Error::new(io::ErrorKind::PermissionDenied, error))
}

/// Returns a warning if others can read a file that contains a secret.
#[must_use]
pub fn warning_of_open_file(path: &Path) -> Option<String> {
    let found = fs::metadata(path).ok().filter(Metadata::is_file)?;
    (found.mode() & OTHERS != 0).then(|| {
        let path = path.display();
        let mode = found.mode() & 0o7777;
        format!("other users can read the token in {path} (mode {mode:04o}); `chmod 600 {path}` protects it")
    })
}

/// Removes an `XDG_RUNTIME_DIR` that belongs to another user, as `su` and `sudo -E` leave it; returns what to say of it.
pub fn drop_foreign_runtime_dir(variables: &mut PathVariables) -> Option<String> {
    let dir = variables.xdg_runtime_dir.as_ref()?;
    let owner = fs::metadata(dir).ok()?.uid();
    if owner == geteuid().as_raw() {
        return None;
    }
    let said = format!(
        "XDG_RUNTIME_DIR ({}) belongs to user {owner}, so it is not used",
        dir.display()
    );
    variables.xdg_runtime_dir = None;
    Some(said)
}

/// Why root must not use a home: it belongs to another user, whom files of root would lock out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} belongs to user {owner}, and files that root creates there would lock that user out; run this without sudo, or with root's own home: `sudo -H`, or set DOCKS_HOME",
    dir.display()
)]
pub struct ForeignHome {
    dir: PathBuf,
    owner: u32,
}

impl ForeignHome {
    /// Returns an error for root, if its docks home is another user's or would be created in a directory of one.
    ///
    /// That of a user who is none here is accepted without `sudo`: containers run as root on directories of a user outside.
    ///
    /// # Errors
    ///
    /// [`ForeignHome`].
    pub fn check(home: &Path, variables: &PathVariables) -> Result<(), Self> {
        if !geteuid().is_root() {
            return Ok(());
        }
        let existing = home.ancestors().find_map(|dir| {
            let found = fs::metadata(dir).ok()?;
            Some((dir, found.uid()))
        });
        match existing {
            Some((dir, owner))
                if !is_trusted(owner) && (variables.through_sudo || is_user_here(owner)) =>
            {
                Err(Self {
                    dir: dir.to_owned(),
                    owner,
                })
            }
            _ => Ok(()),
        }
    }
}

/// Whether the system has a user of its own with this id.
fn is_user_here(user: u32) -> bool {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut ids = users.lines().filter_map(|line| line.split(':').nth(2));
    ids.any(|id| id.parse() == Ok(user))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn each_directory_on_the_way_must_be_unchangeable_for_others() {
        let base = tempfile::tempdir().unwrap();
        let base = base.path().canonicalize().unwrap();
        let run = base.join("a/b/run");
        assert_eq!(
            ReplaceableDir::find(&run),
            None,
            "what is missing is trusted"
        );
        fs::create_dir_all(&run).unwrap();
        assert_eq!(ReplaceableDir::find(&run), None);
        for (changed, mode, is_safe) in [
            ("a", 0o757, false),
            ("a", 0o1777, true),
            ("a/b", 0o777, false),
            ("a/b/run", 0o702, false),
            ("a/b/run", 0o711, true),
        ] {
            let dir = base.join(changed);
            set_mode(&dir, mode);
            let found = ReplaceableDir::find(&run);
            assert_eq!(found.is_none(), is_safe, "{changed} {mode:o}");
            if let Some(found) = found {
                assert_eq!(found.path, dir);
                assert!(found.to_string().contains("chmod go-w"), "{found}");
            }
            set_mode(&dir, 0o700);
        }
        // A link in a safe directory to a place behind one that is not.
        symlink("a/b", base.join("link")).unwrap();
        assert_eq!(ReplaceableDir::find(&base.join("link/run")), None);
        set_mode(&base.join("a"), 0o777);
        let found = ReplaceableDir::find(&base.join("link/run")).unwrap();
        assert_eq!(found.path, base.join("a"));
    }

    #[test]
    fn a_file_that_others_can_write_is_refused_and_one_they_can_read_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        fs::write(&path, "").unwrap();
        for (mode, is_refused, is_named) in [
            (0o600, false, false),
            (0o400, false, false),
            (0o644, false, true),
            (0o602, true, true),
            (0o646, true, true),
        ] {
            set_mode(&path, mode);
            let found = fs::metadata(&path).unwrap();
            assert_eq!(check_file(&path, &found).is_err(), is_refused, "{mode:o}");
            assert_eq!(warning_of_open_file(&path).is_some(), is_named, "{mode:o}");
        }
    }
}
