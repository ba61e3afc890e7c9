//! The mirrors that are on disk, found without opening a database.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::files::{database_path, parse_name, read_use_marker, shared_path, use_marker};
use super::id::MirrorId;
use super::of_profiles::ProfileRemote;
use super::owner::OwnedRemote;
use crate::time::UnixMs;

/// A mirror on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorFile {
    /// Its id.
    pub id: MirrorId,
    /// The database.
    pub database: PathBuf,
    /// Size of all its files in bytes.
    pub size_bytes: u64,
    /// When it was last used; recorded at most once an hour.
    pub last_used: Option<UnixMs>,
    /// The remote and whose the mirror is. `None` for one of an earlier release that no profile
    /// inherits: only its database knows.
    pub remote: Option<OwnedRemote>,
}

impl MirrorFile {
    /// Returns the id that artifacts of the owner carry. It is that of the file, unless the file is of
    /// an earlier release and its profile has not taken it over yet.
    #[must_use]
    pub fn owner_id(&self) -> MirrorId {
        self.remote.as_ref().map_or(self.id, MirrorId::new)
    }

    /// Describes the remote for people.
    #[must_use]
    pub fn location(&self) -> String {
        match &self.remote {
            Some(remote) => remote.target.to_string(),
            None => {
                parse_name(&self.database).map_or_else(String::new, |(name, _)| name.to_owned())
            }
        }
    }

    /// Names the kind of owner: `profile`, `token`, `user`, or `unknown`.
    #[must_use]
    pub fn owner_kind(&self) -> &'static str {
        self.remote
            .as_ref()
            .map_or("unknown", |remote| remote.owner.kind())
    }

    /// Returns the profile whose mirror it is, or was.
    #[must_use]
    pub fn profile(&self) -> Option<&str> {
        self.remote.as_ref()?.owner.profile()
    }

    /// Names the owner: `profile` and its name, or as [`MirrorFile::owner_kind`]. Never contains a
    /// fingerprint.
    #[must_use]
    pub fn owner(&self) -> String {
        match self.profile() {
            Some(name) => format!("profile {name}"),
            None => self.owner_kind().to_owned(),
        }
    }
}

/// Lists the mirrors in a directory, by location. Blocks.
///
/// # Errors
///
/// When the directory exists and cannot be read.
pub fn list(cache_dir: &Path, profiles: &[ProfileRemote]) -> io::Result<Vec<MirrorFile>> {
    let entries = match fs::read_dir(cache_dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let database = entry?.path();
        if let Some((_, id)) = parse_name(&database) {
            found.push(describe(database, id, profiles));
        }
    }
    found.sort_by_cached_key(|mirror| (mirror.location(), mirror.id));
    Ok(found)
}

fn describe(database: PathBuf, id: MirrorId, profiles: &[ProfileRemote]) -> MirrorFile {
    let cache_dir = database.parent().unwrap_or(Path::new("/"));
    let is_mirror_of = |profile: &&ProfileRemote| {
        database_path(cache_dir, &profile.remote) == database
            || (profile.inherits && shared_path(cache_dir, &profile.remote.target) == database)
    };
    let of_profile = profiles.iter().find(is_mirror_of);
    let remote = match of_profile {
        Some(profile) => Some(profile.remote.clone()),
        None => read_use_marker(&database),
    };
    let modified = |path: &Path| fs::metadata(path).and_then(|found| found.modified()).ok();
    let last_used = modified(&use_marker(&database)).or_else(|| modified(&database));
    MirrorFile {
        id,
        size_bytes: files_of(&database)
            .into_iter()
            .flatten()
            .filter_map(|path| Some(fs::symlink_metadata(path).ok()?.len()))
            .sum(),
        last_used: last_used.and_then(unix_ms),
        remote,
        database,
    }
}

/// Finds the mirrors with a handle, or, if there are none, those of a former profile of that name.
#[must_use]
pub fn find<'a>(mirrors: &'a [MirrorFile], text: &str) -> Vec<&'a MirrorFile> {
    let with = |is_meant: &dyn Fn(&MirrorFile) -> bool| -> Vec<&MirrorFile> {
        mirrors.iter().filter(|mirror| is_meant(mirror)).collect()
    };
    let named = with(&|mirror| mirror.id.is_named(text));
    if named.is_empty() {
        with(&|mirror| mirror.profile() == Some(text))
    } else {
        named
    }
}

/// What was deleted of a mirror.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeletedFiles {
    /// Number of files.
    pub files: u64,
    /// Their size in bytes.
    pub size_bytes: u64,
}

/// Deletes the files of a mirror: the database, what SQLite keeps beside it, those that were set
/// aside, and the use marker. Nobody may have it open. Blocks.
///
/// # Errors
///
/// When a file cannot be deleted. The marker is deleted last, so that the rest is found again.
pub fn delete(database: &Path) -> io::Result<DeletedFiles> {
    let mut deleted = DeletedFiles::default();
    let marker = use_marker(database);
    let mut paths = files_of(database)?;
    paths.sort_by_key(|path| *path == marker);
    for path in paths {
        let size_bytes = fs::symlink_metadata(&path).map_or(0, |found| found.len());
        match fs::remove_file(&path) {
            Ok(()) => {
                deleted.files += 1;
                deleted.size_bytes += size_bytes;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(deleted)
}

/// Lists the files of a mirror. Their names begin with that of the database up to the extension,
/// which ends with the id, so that no other mirror's do.
fn files_of(database: &Path) -> io::Result<Vec<PathBuf>> {
    let (Some(directory), Some(stem)) = (database.parent(), database.file_stem()) else {
        return Ok(Vec::new());
    };
    let prefix = format!("{}.", stem.to_string_lossy());
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let is_file = entry.file_type().is_ok_and(|kind| !kind.is_dir());
        if is_file && entry.file_name().to_string_lossy().starts_with(&prefix) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

fn unix_ms(time: SystemTime) -> Option<UnixMs> {
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok().map(UnixMs)
}

#[cfg(test)]
mod tests {
    use super::super::files::{beside, write_use_marker};
    use super::super::owner::{Fingerprints, Owner};
    use super::*;
    use crate::secret::Token;
    use crate::settings::Target;

    fn api(tenant: &str, owner: Owner) -> OwnedRemote {
        OwnedRemote {
            target: Target::DocksApi {
                api_url: "https://api.example".into(),
                tenant: tenant.into(),
            },
            owner,
        }
    }

    #[test]
    fn every_mirror_is_listed_with_its_owner_and_deleted_alone() {
        let cache = tempfile::tempdir().unwrap();
        let token = Fingerprints::temporary().of(&Token::new("secret").unwrap());
        let of_profile = api("t", Owner::Profile("a".into()));
        let of_token = api("t", Owner::Token(token));
        let removed = api("t", Owner::Profile("removed".into()));
        for id in [&of_profile, &of_token, &removed] {
            let database = database_path(cache.path(), id);
            fs::write(&database, "rows").unwrap();
            fs::write(beside(&database, "-wal"), "more").unwrap();
            write_use_marker(&database, id).unwrap();
        }
        // A marker of before mirrors named their remote, and one of before they had owners.
        let of_profile_path = database_path(cache.path(), &of_profile);
        fs::write(use_marker(&of_profile_path), "profile a\n").unwrap();
        let orphan = shared_path(cache.path(), &api("other", Owner::User).target);
        fs::write(&orphan, "rows").unwrap();
        fs::write(cache.path().join("mirror-names.key"), "secret").unwrap();
        fs::create_dir(cache.path().join("artifacts")).unwrap();
        let profiles = [ProfileRemote {
            profile: "a".into(),
            remote: of_profile.clone(),
            inherits: true,
        }];
        let listed = |profiles: &[ProfileRemote]| list(cache.path(), profiles).unwrap();
        let mut remotes: Vec<_> = listed(&profiles).into_iter().map(|m| m.remote).collect();
        let expected = [Some(of_profile), Some(of_token), Some(removed), None];
        assert_eq!(remotes.len(), expected.len());
        for remote in expected {
            let at = remotes.iter().position(|found| *found == remote);
            remotes.remove(at.expect("it is listed"));
        }
        let mirrors = listed(&profiles);
        let unknown = mirrors.iter().find(|mirror| mirror.remote.is_none());
        let unknown = unknown.unwrap();
        assert_eq!(unknown.location(), "api-example-other");
        assert_eq!(find(&mirrors, &unknown.id.handle()), [unknown]);
        let former = find(&mirrors, "removed");
        assert_eq!(former.len(), 1);
        assert_eq!(former[0].profile(), Some("removed"));
        let deleted = delete(&of_profile_path).unwrap();
        assert_eq!((deleted.files, deleted.size_bytes), (3, 4 + 4 + 10));
        assert_eq!(listed(&profiles).len(), 3);
        assert!(
            beside(&database_path(cache.path(), &profiles[0].remote), "-wal")
                .metadata()
                .is_err()
        );
        assert!(cache.path().join("mirror-names.key").exists());
    }
}
