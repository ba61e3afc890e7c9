//! One mirrored remote: its file, its engine, and the answers kept ready.

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
use docks_proto::settings::Target;

use super::tokens::Tokens;
use crate::list_response::ListResponse;
use docksd_events::{EngineHandle, EventFeed};
use docksd_mirror::{Mirror, OpenReport, Resource};
use docksd_response_cache::ResponseCache;
use docksd_sync::SyncHandle;

/// How often a use is written down.
const MARK_EVERY: Duration = Duration::from_secs(3_600);

/// A remote whose last use is longer ago is not opened at start.
const RECENT: Duration = Duration::from_secs(7 * 86_400);

/// One mirrored remote.
pub struct Source {
    /// The remote.
    pub target: Target,
    /// `docks_api` or `harbor_jobs`.
    pub kind: &'static str,
    /// Its mirror.
    pub mirror: Mirror,
    /// Its engine.
    pub sync: SyncHandle,
    /// File of the mirror.
    pub database: PathBuf,
    /// What opening the file found.
    pub opened: OpenReport,
    /// What those hear who watch it.
    pub feed: Arc<EventFeed>,
    /// Lists as they were sent lately.
    pub lists: ResponseCache<ListResponse>,
    pub(super) tokens: Arc<Tokens>,
    pub(super) marked_s: AtomicU64,
}

/// The engine as a feed asks it.
pub(super) struct Engine(pub(super) SyncHandle);

impl EngineHandle for Engine {
    fn mark_active(&self, what: &Resource) {
        self.0.mark_watched(what);
    }

    fn connection_state(&self) -> ConnectionState {
        self.0.source_state()
    }
}

impl Source {
    /// Names the remote for people: origin and tenant, or the directory.
    #[must_use]
    pub fn location(&self) -> String {
        self.target.to_string()
    }

    /// Writes down that the remote is in use, at most once an hour.
    pub(super) fn mark_used(&self, now: Duration) {
        let last = self.marked_s.load(Ordering::Relaxed);
        let now_s = now.as_secs().max(1);
        let due = last == 0 || now_s.saturating_sub(last) >= MARK_EVERY.as_secs();
        let ours = || {
            self.marked_s
                .compare_exchange(last, now_s, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        };
        if due
            && ours()
            && let Err(error) = mark(&self.database, &self.target)
        {
            tracing::debug!(%error, "could not note the use of a mirror");
        }
    }
}

/// Names a remote for good: the file remembers it and refuses to be another's.
#[must_use]
pub fn identity(target: &Target) -> String {
    let kind = match target {
        Target::DocksApi { .. } => "docks_api",
        Target::HarborJobs { .. } => "harbor_jobs",
    };
    format!("{kind} {target}")
}

/// Writes directories so that they can be told apart whatever bytes are in their names.
fn bytes_of(dirs: &[PathBuf]) -> Vec<u8> {
    let dirs: Vec<&[u8]> = dirs.iter().map(|dir| dir.as_os_str().as_bytes()).collect();
    dirs.join(&0)
}

/// Returns the file of a remote's mirror: readable, and unique by a hash of the identity.
#[must_use]
pub fn database(cache_dir: &Path, target: &Target) -> PathBuf {
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
        // Directories that differ only in bytes that are no text are different ones.
        Target::HarborJobs { dirs } => [b"harbor_jobs ", bytes_of(dirs).as_slice()].concat(),
    };
    cache_dir.join(format!("{plain}-{:016x}.db", fnv(&key)))
}

/// FNV-1a: the same in every release, which a file's name has to be.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn marker(database: &Path) -> PathBuf {
    database.with_extension("used")
}

/// Writes the marker, which for jobs directories holds their paths: no profile may name them.
fn mark(database: &Path, target: &Target) -> io::Result<()> {
    use io::Write;
    let mut file = fs::OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(marker(database))?;
    match target {
        Target::HarborJobs { dirs } => file.write_all(&bytes_of(dirs)),
        Target::DocksApi { .. } => file.write_all(b"\n"),
    }
}

/// Tells whether a remote's mirror was used lately.
pub(super) fn used_lately(cache_dir: &Path, target: &Target) -> bool {
    fs::metadata(marker(&database(cache_dir, target)))
        .and_then(|found| found.modified())
        .is_ok_and(|at| at.elapsed().unwrap_or_default() < RECENT)
}

/// Lists the jobs directories that were used lately, with or without a profile.
pub(super) fn jobs_used_lately(cache_dir: &Path) -> Vec<Target> {
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
            // The name proves that the marker is what it says.
            (marker(&database(cache_dir, &target)) == path).then_some(target)
        })
        .filter(|target| used_lately(cache_dir, target))
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
        assert_ne!(database(dir, &api("a")), database(dir, &api("A")));
        assert_ne!(database(dir, &api("a/b")), database(dir, &api("a-b")));
        let jobs = |dirs: &[&str]| {
            let target = Target::harbor_jobs(dirs.iter().map(PathBuf::from));
            database(dir, &target)
        };
        assert_eq!(jobs(&["/b", "/a"]), jobs(&["/a", "/b", "/a"]));
        assert_ne!(jobs(&["/a", "/b"]), jobs(&["/a:/b"]));
        let hostile = database(dir, &api("../../etc"));
        assert_eq!(hostile.parent(), Some(dir));
        let long = database(dir, &api(&"x".repeat(10_000)));
        assert!(long.as_os_str().len() < 100);
    }

    #[test]
    fn a_used_jobs_directory_is_found_again() {
        let cache = tempfile::tempdir().unwrap();
        let one = Target::harbor_jobs(["/some/jobs".into()]);
        let two = Target::harbor_jobs(["/some/jobs".into(), "/a:b".into()]);
        for target in [&one, &two, &api("t")] {
            assert!(!used_lately(cache.path(), target));
            mark(&database(cache.path(), target), target).unwrap();
        }
        let mut found = jobs_used_lately(cache.path());
        found.sort_by_key(Target::to_string);
        assert_eq!(found, [two, one]);
        assert!(used_lately(cache.path(), &api("t")));
    }
}
