//! The files of mirrors: their names, when they were last used, and what becomes of old ones.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use docks_proto::hash::fnv1a_64;
use docks_proto::settings::Target;

use super::owner::{OwnedRemote, Owner};

/// A remote that was last used longer ago is not opened at the start.
const RECENT: Duration = Duration::from_secs(7 * 86_400);

/// The mirror of a token that is no profile's is deleted after this time.
const DELETE_TOKEN_AFTER: Duration = Duration::from_secs(30 * 86_400);

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
pub(super) fn shared_identity(target: &Target) -> String {
    let kind = match target {
        Target::DocksApi { .. } => "docks_api",
        Target::HarborJobs { .. } => "harbor_jobs",
    };
    format!("{kind} {target}")
}

/// Joins the paths of directories with NUL, the one byte that no path contains.
fn joined_paths(dirs: &[PathBuf]) -> Vec<u8> {
    let dirs: Vec<&[u8]> = dirs.iter().map(|dir| dir.as_os_str().as_bytes()).collect();
    dirs.join(&0)
}

/// Returns the path of a mirror file: a readable name, made unique by a hash of the identity.
#[must_use]
pub fn database_path(cache_dir: &Path, id: &OwnedRemote) -> PathBuf {
    match id.owner {
        Owner::User => shared_path(cache_dir, &id.target),
        Owner::Profile(_) | Owner::Token(_) => {
            named_path(cache_dir, &id.target, identity(id).as_bytes())
        }
    }
}

/// Returns the path of a mirror file without an owner, see [`shared_identity`].
fn shared_path(cache_dir: &Path, target: &Target) -> PathBuf {
    let key = match target {
        Target::DocksApi { .. } => shared_identity(target).into_bytes(),
        // From bytes, since two paths may differ only in bytes that are not UTF-8.
        Target::HarborJobs { dirs } => [b"harbor_jobs ", joined_paths(dirs).as_slice()].concat(),
    };
    named_path(cache_dir, target, &key)
}

fn named_path(cache_dir: &Path, target: &Target, key: &[u8]) -> PathBuf {
    let readable = match target {
        Target::DocksApi { api_url, tenant } => {
            let host = api_url.split("://").nth(1).unwrap_or(api_url);
            format!("{host}-{tenant}")
        }
        Target::HarborJobs { dirs } => {
            let names = dirs.iter().filter_map(|dir| dir.file_name());
            names.fold("harbor".to_owned(), |readable, name| {
                format!("{readable}-{}", name.to_string_lossy())
            })
        }
    };
    let plain: String = readable
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(48)
        .collect();
    cache_dir.join(format!("{plain}-{:016x}.db", fnv1a_64(key)))
}

/// Gives the mirror of an earlier release, which had no owner, to a profile that has none yet. Blocks.
///
/// The file moves last, so that it is found again, with its log, if this is interrupted.
pub(super) fn take_over_shared_mirror(cache_dir: &Path, id: &OwnedRemote) {
    let (from, to) = (
        shared_path(cache_dir, &id.target),
        database_path(cache_dir, id),
    );
    if from == to || to.exists() || !from.exists() {
        return;
    }
    fs::rename(beside(&from, "-wal"), beside(&to, "-wal")).ok();
    fs::remove_file(beside(&from, "-shm")).ok();
    fs::rename(use_marker(&from), use_marker(&to)).ok();
    match fs::rename(&from, &to) {
        Ok(()) => tracing::info!(from = %from.display(), to = %to.display(),
            "the mirror of {} belongs to {} now", id.target, id.owner),
        // Another thread was quicker.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!(path = %from.display(), %error,
            "could not take over the mirror of {}", id.target),
    }
}

fn use_marker(database: &Path) -> PathBuf {
    database.with_extension("used")
}

/// Writes the use marker. For jobs directories it holds their paths, since they need no profile; else
/// it says whose the mirror is.
pub(super) fn write_use_marker(database: &Path, id: &OwnedRemote) -> io::Result<()> {
    use io::Write;
    let mut file = fs::OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(use_marker(database))?;
    match &id.target {
        Target::HarborJobs { dirs } => file.write_all(&joined_paths(dirs)),
        Target::DocksApi { .. } => writeln!(file, "{}", id.owner),
    }
}

/// Keeps the mirror of a token from being deleted while it is being opened. Blocks.
pub(super) fn keep_token_mirror(database: &Path, id: &OwnedRemote) {
    if matches!(id.owner, Owner::Token(_))
        && database.exists()
        && let Err(error) = write_use_marker(database, id)
    {
        tracing::debug!(%error, "could not record the use of a mirror");
    }
}

/// Deletes the mirrors of tokens that were not used for a month, except those that are open. Blocks.
pub(super) fn delete_abandoned(cache_dir: &Path, open: &[PathBuf]) {
    let Ok(entries) = fs::read_dir(cache_dir) else {
        return;
    };
    for marker in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let database = marker.with_extension("db");
        let is_marker = marker
            .extension()
            .is_some_and(|extension| extension == "used");
        let unused = || {
            let modified = fs::metadata(&marker).and_then(|found| found.modified());
            modified.is_ok_and(|at| at.elapsed().unwrap_or_default() >= DELETE_TOKEN_AFTER)
        };
        let of_token = || fs::read(&marker).is_ok_and(|text| text.starts_with(b"token "));
        if !is_marker || open.contains(&database) || !unused() || !of_token() {
            continue;
        }
        // The marker last, so that the rest is found again if this is interrupted.
        for path in [
            &database,
            &beside(&database, "-wal"),
            &beside(&database, "-shm"),
            &marker,
        ] {
            match fs::remove_file(path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "could not delete an unused mirror");
                    break;
                }
            }
        }
        tracing::info!(path = %database.display(), "deleted the mirror of a token that was not used for a month");
    }
}

/// Returns the path of a file that SQLite keeps beside a database.
fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(suffix);
    PathBuf::from(path)
}

/// Whether a remote's mirror was used recently.
pub(super) fn used_recently(cache_dir: &Path, id: &OwnedRemote) -> bool {
    fs::metadata(use_marker(&database_path(cache_dir, id)))
        .and_then(|found| found.modified())
        .is_ok_and(|at| at.elapsed().unwrap_or_default() < RECENT)
}

/// Lists the jobs directories that were used recently, with or without a profile.
pub(super) fn recently_used_jobs(cache_dir: &Path) -> Vec<OwnedRemote> {
    let Ok(entries) = fs::read_dir(cache_dir) else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "used"))
        .filter_map(|path| {
            let bytes = fs::read(&path).ok()?;
            let dirs = bytes.split(|byte| *byte == 0);
            let dirs = dirs.map(|dir| PathBuf::from(OsString::from_vec(dir.to_owned())));
            let id = OwnedRemote {
                target: Target::harbor_jobs(dirs),
                owner: Owner::User,
            };
            // The hash in the file name confirms the content.
            (use_marker(&database_path(cache_dir, &id)) == path).then_some(id)
        })
        .filter(|id| used_recently(cache_dir, id))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use docks_proto::secret::Token;

    use super::super::owner::Fingerprints;
    use super::*;

    fn api(tenant: &str, profile: &str) -> OwnedRemote {
        OwnedRemote {
            target: Target::DocksApi {
                api_url: "https://api.example:8443".into(),
                tenant: tenant.into(),
            },
            owner: Owner::Profile(profile.into()),
        }
    }

    fn jobs(dirs: &[&str]) -> OwnedRemote {
        OwnedRemote {
            target: Target::harbor_jobs(dirs.iter().map(PathBuf::from)),
            owner: Owner::User,
        }
    }

    #[test]
    fn two_remotes_or_owners_never_share_a_file_and_no_name_leaves_the_directory() {
        let dir = Path::new("/c");
        let path = |id: &OwnedRemote| database_path(dir, id);
        assert_ne!(path(&api("a", "p")), path(&api("A", "p")));
        assert_ne!(path(&api("a/b", "p")), path(&api("a-b", "p")));
        assert_ne!(path(&api("a", "p")), path(&api("a", "q")));
        assert_ne!(
            path(&api("a", "p")),
            shared_path(dir, &api("a", "p").target)
        );
        assert_eq!(path(&jobs(&["/b", "/a"])), path(&jobs(&["/a", "/b", "/a"])));
        assert_ne!(path(&jobs(&["/a", "/b"])), path(&jobs(&["/a:/b"])));
        let hostile = path(&api("../../etc", "../p"));
        assert_eq!(hostile.parent(), Some(dir));
        let long = path(&api(&"x".repeat(10_000), "p"));
        assert!(long.as_os_str().len() < 100);
    }

    #[test]
    fn a_used_jobs_directory_is_found_again() {
        let cache = tempfile::tempdir().unwrap();
        let one = jobs(&["/some/jobs"]);
        let two = jobs(&["/some/jobs", "/a:b"]);
        for id in [&one, &two, &api("t", "p")] {
            assert!(!used_recently(cache.path(), id));
            write_use_marker(&database_path(cache.path(), id), id).unwrap();
        }
        let mut found = recently_used_jobs(cache.path());
        found.sort_by_key(|id| id.target.to_string());
        assert_eq!(found, [two, one]);
        assert!(used_recently(cache.path(), &api("t", "p")));
    }

    #[test]
    fn an_earlier_mirror_goes_to_the_first_profile_that_takes_it() {
        let cache = tempfile::tempdir().unwrap();
        let (first, second) = (api("t", "a"), api("t", "b"));
        let shared = shared_path(cache.path(), &first.target);
        fs::write(&shared, "rows").unwrap();
        fs::write(shared.with_extension("db-wal"), "more rows").unwrap();
        write_use_marker(&shared, &first).unwrap();
        take_over_shared_mirror(cache.path(), &first);
        take_over_shared_mirror(cache.path(), &second);
        let path = database_path(cache.path(), &first);
        assert_eq!(fs::read(&path).unwrap(), b"rows");
        assert_eq!(
            fs::read(path.with_extension("db-wal")).unwrap(),
            b"more rows"
        );
        assert!(used_recently(cache.path(), &first));
        assert!(!database_path(cache.path(), &second).exists());
        assert!(!shared.exists());
    }

    #[test]
    fn only_mirrors_of_tokens_are_deleted_and_only_after_a_month() {
        let cache = tempfile::tempdir().unwrap();
        let secret = Fingerprints::open(&cache.path().join("key"));
        let of_token = |text| OwnedRemote {
            owner: Owner::Token(secret.of(&Token::new(text).unwrap())),
            ..api("t", "")
        };
        let (old, open, recent) = (of_token("old"), of_token("open"), of_token("recent"));
        let profile = api("t", "token ");
        let path = |id: &OwnedRemote| database_path(cache.path(), id);
        for id in [&old, &open, &recent, &profile, &jobs(&["/token "])] {
            fs::write(path(id), "rows").unwrap();
            fs::write(beside(&path(id), "-wal"), "more rows").unwrap();
            write_use_marker(&path(id), id).unwrap();
            if *id != recent {
                let marker = fs::File::options().write(true).open(use_marker(&path(id)));
                let then = SystemTime::now() - DELETE_TOKEN_AFTER;
                marker.unwrap().set_modified(then).unwrap();
            }
        }
        delete_abandoned(cache.path(), &[path(&open)]);
        for id in [&open, &recent, &profile, &jobs(&["/token "])] {
            assert!(
                path(id).exists() && use_marker(&path(id)).exists(),
                "{id:?}"
            );
        }
        assert!(!path(&old).exists() && !use_marker(&path(&old)).exists());
        assert!(!beside(&path(&old), "-wal").exists());
    }
}
