//! What becomes of the files of old mirrors.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use docks_artifacts::cache::{ArtifactsOf, Cache};
use docks_proto::mirrors::{
    self, OwnedRemote, Owner, beside, database_path, shared_path, use_marker, write_use_marker,
};
use docks_proto::settings::Target;

/// A remote that was last used longer ago is not opened at the start.
const RECENT: Duration = Duration::from_secs(7 * 86_400);

/// The mirror of a token that is no profile's is deleted after this time.
const DELETE_TOKEN_AFTER: Duration = Duration::from_secs(30 * 86_400);

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

/// Keeps the mirror of a token from being deleted while it is being opened. Blocks.
pub(super) fn keep_token_mirror(database: &Path, id: &OwnedRemote) {
    if matches!(id.owner, Owner::Token(_))
        && database.exists()
        && let Err(error) = write_use_marker(database, id)
    {
        tracing::debug!(%error, "could not record the use of a mirror");
    }
}

/// Deletes the mirrors of tokens that were not used for a month, and what their owners have cached,
/// except those that are open. Blocks.
pub(super) fn delete_abandoned(cache_dir: &Path, artifacts: &Cache, open: &[PathBuf]) {
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
        let forgotten = mirrors::id_of_file(&database).map_or(Ok(()), |mirror| {
            let whose = ArtifactsOf {
                mirror,
                unowned_runs_of: None,
            };
            artifacts.forget(&whose).map(drop)
        });
        if let Err(error) = forgotten.and_then(|()| mirrors::delete(&database)) {
            tracing::warn!(path = %database.display(), %error, "could not delete an unused mirror");
            continue;
        }
        tracing::info!(path = %database.display(), "deleted the mirror of a token that was not used for a month");
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
    use std::time::SystemTime;

    use docks_proto::mirrors::Fingerprints;
    use docks_proto::secret::Token;
    use docks_proto::time::UnixMs;

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
        let secret = Fingerprints::temporary();
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
        let artifacts = Cache::new(cache.path().join("artifacts"), 0, UnixMs(0));
        delete_abandoned(cache.path(), &artifacts, &[path(&open)]);
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
