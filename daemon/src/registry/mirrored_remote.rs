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

use super::tokens::RemoteTokens;
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
    /// The remote.
    pub target: Target,
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
    pub(super) tokens: Arc<RemoteTokens>,
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
        self.target.to_string()
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
            && let Err(error) = write_use_marker(&self.database, &self.target)
        {
            tracing::debug!(%error, "could not record the use of a mirror");
        }
    }
}

/// Returns the permanent name of a remote. A mirror stores it, and refuses to open for another one.
#[must_use]
pub fn identity(target: &Target) -> String {
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

/// Returns the path of a remote's mirror file: a readable name, made unique by a hash of the identity.
#[must_use]
pub fn database_path(cache_dir: &Path, target: &Target) -> PathBuf {
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
    let key = match target {
        Target::DocksApi { .. } => identity(target).into_bytes(),
        // From bytes, since two paths may differ only in bytes that are not UTF-8.
        Target::HarborJobs { dirs } => [b"harbor_jobs ", joined_paths(dirs).as_slice()].concat(),
    };
    cache_dir.join(format!("{plain}-{:016x}.db", fnv1a_64(&key)))
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
pub(super) fn used_recently(cache_dir: &Path, target: &Target) -> bool {
    fs::metadata(use_marker(&database_path(cache_dir, target)))
        .and_then(|found| found.modified())
        .is_ok_and(|at| at.elapsed().unwrap_or_default() < RECENT)
}

/// Lists the jobs directories that were used recently, with or without a profile.
pub(super) fn recently_used_jobs(cache_dir: &Path) -> Vec<Target> {
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
            let target = Target::harbor_jobs(dirs);
            // The hash in the file name confirms the content.
            (use_marker(&database_path(cache_dir, &target)) == path).then_some(target)
        })
        .filter(|target| used_recently(cache_dir, target))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(tenant: &str) -> Target {
        Target::DocksApi {
            api_url: "https://api.example:8443".into(),
            tenant: tenant.into(),
        }
    }

    #[test]
    fn two_remotes_never_share_a_file_and_no_name_leaves_the_directory() {
        let dir = Path::new("/c");
        assert_ne!(database_path(dir, &api("a")), database_path(dir, &api("A")));
        assert_ne!(
            database_path(dir, &api("a/b")),
            database_path(dir, &api("a-b"))
        );
        let jobs = |dirs: &[&str]| {
            let target = Target::harbor_jobs(dirs.iter().map(PathBuf::from));
            database_path(dir, &target)
        };
        assert_eq!(jobs(&["/b", "/a"]), jobs(&["/a", "/b", "/a"]));
        assert_ne!(jobs(&["/a", "/b"]), jobs(&["/a:/b"]));
        let hostile = database_path(dir, &api("../../etc"));
        assert_eq!(hostile.parent(), Some(dir));
        let long = database_path(dir, &api(&"x".repeat(10_000)));
        assert!(long.as_os_str().len() < 100);
    }

    #[test]
    fn a_used_jobs_directory_is_found_again() {
        let cache = tempfile::tempdir().unwrap();
        let one = Target::harbor_jobs(["/some/jobs".into()]);
        let two = Target::harbor_jobs(["/some/jobs".into(), "/a:b".into()]);
        for target in [&one, &two, &api("t")] {
            assert!(!used_recently(cache.path(), target));
            write_use_marker(&database_path(cache.path(), target), target).unwrap();
        }
        let mut found = recently_used_jobs(cache.path());
        found.sort_by_key(Target::to_string);
        assert_eq!(found, [two, one]);
        assert!(used_recently(cache.path(), &api("t")));
    }
}
