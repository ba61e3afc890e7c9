//! One mirrored remote: its mirror file, its sync engine and its response cache.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use docks_proto::event::ConnectionState;
use docks_proto::hash::fnv1a_64;
use docks_proto::settings::Target;

use super::owner::{OwnedRemote, Owner};
use super::tokens::Credentials;
use crate::list_response::ListResponse;
use docksd_events::{EngineHandle, EventFeed};
use docksd_mirror::{Mirror, OpenReport, Resource};
use docksd_response_cache::ResponseCache;
use docksd_sync::SyncHandle;

/// Time between two updates of the use marker.
const RECORD_USE_EVERY: Duration = Duration::from_secs(3_600);

/// A remote that was last used longer ago is not opened at the start.
const RECENT: Duration = Duration::from_secs(7 * 86_400);

/// One mirrored remote.
pub struct MirroredRemote {
    /// The remote, and who asks it.
    pub id: OwnedRemote,
    /// `docks_api` or `harbor_jobs`.
    pub kind: &'static str,
    /// Its mirror.
    pub mirror: Mirror,
    /// Its sync engine.
    pub sync: SyncHandle,
    /// The file of the mirror.
    pub database: PathBuf,
    /// What opening the file found.
    pub open_report: OpenReport,
    /// The event stream of its watchers.
    pub feed: Arc<EventFeed>,
    /// Responses to recent list requests.
    pub lists: ResponseCache<ListResponse>,
    pub(super) credentials: Credentials,
    pub(super) use_recorded_s: AtomicU64,
}

/// Passes the attention of watchers on to the sync engine.
pub(super) struct SyncAttention(pub(super) SyncHandle);

impl EngineHandle for SyncAttention {
    fn mark_active(&self, what: &Resource) {
        self.0.mark_watched(what);
    }

    fn connection_state(&self) -> ConnectionState {
        self.0.connection_state()
    }
}

impl MirroredRemote {
    /// Names the remote for people: origin and tenant, or the directory.
    #[must_use]
    pub fn location(&self) -> String {
        self.id.target.to_string()
    }

    /// Records that the remote is in use, at most once an hour.
    pub(super) fn record_use(&self, now: Duration) {
        let last = self.use_recorded_s.load(Ordering::Relaxed);
        let now_s = now.as_secs().max(1);
        let due = last == 0 || now_s.saturating_sub(last) >= RECORD_USE_EVERY.as_secs();
        let is_first = || {
            self.use_recorded_s
                .compare_exchange(last, now_s, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        };
        if due
            && is_first()
            && let Err(error) = write_use_marker(&self.database, &self.id.target)
        {
            tracing::debug!(%error, "could not record the use of a mirror");
        }
    }
}

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
    let beside = |database: &Path, suffix: &str| {
        let mut path = database.as_os_str().to_owned();
        path.push(suffix);
        PathBuf::from(path)
    };
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

/// Writes the use marker. For jobs directories it holds their paths, since they need no profile.
fn write_use_marker(database: &Path, target: &Target) -> io::Result<()> {
    use io::Write;
    let mut file = fs::OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(use_marker(database))?;
    match target {
        Target::HarborJobs { dirs } => file.write_all(&joined_paths(dirs)),
        Target::DocksApi { .. } => file.write_all(b"\n"),
    }
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
            write_use_marker(&database_path(cache.path(), id), &id.target).unwrap();
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
        write_use_marker(&shared, &first.target).unwrap();
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
}
