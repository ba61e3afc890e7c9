//! The paths of a mirror's files, and the marker that says whose it is and when it was last used.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::id::MirrorId;
use super::identity::joined_paths;
use super::owner::{OwnedRemote, Owner};
use crate::settings::Target;

/// What a use marker says before the address of a `harbor serve`; no address of an API.
const SERVER_MARK: &str = "harbor_server";

/// Returns the path of a mirror file: a readable name, made unique by its id.
#[must_use]
pub fn database_path(cache_dir: &Path, id: &OwnedRemote) -> PathBuf {
    named_path(cache_dir, &id.target, MirrorId::new(id))
}

/// Returns the path of a mirror file without an owner, see
/// [`shared_identity`](super::shared_identity).
#[must_use]
pub fn shared_path(cache_dir: &Path, target: &Target) -> PathBuf {
    named_path(cache_dir, target, MirrorId::shared(target))
}

fn named_path(cache_dir: &Path, target: &Target, id: MirrorId) -> PathBuf {
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
        Target::HarborServer { url } => {
            let host = url.split("://").nth(1).unwrap_or(url);
            format!("harbor-{host}")
        }
    };
    let plain: String = readable
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(48)
        .collect();
    cache_dir.join(format!("{plain}-{id}.db"))
}

/// Splits the name of a mirror file into its readable part and its id.
pub(super) fn parse_name(database: &Path) -> Option<(&str, MirrorId)> {
    let stem = database.file_name()?.to_str()?.strip_suffix(".db")?;
    let (readable, id) = stem.rsplit_once('-')?;
    Some((readable, MirrorId::parse(id)?))
}

/// Returns the id in the name of a mirror's database.
#[must_use]
pub fn id_of_file(database: &Path) -> Option<MirrorId> {
    parse_name(database).map(|(_, id)| id)
}

/// Returns the path of a file that SQLite keeps beside a database.
#[must_use]
pub fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(suffix);
    PathBuf::from(path)
}

/// Returns the path of the use marker, whose time is that of the last use.
#[must_use]
pub fn use_marker(database: &Path) -> PathBuf {
    database.with_extension("used")
}

/// Writes the use marker. For jobs directories it holds their paths, since they need no profile; else
/// it says whose the mirror is, and of which remote.
///
/// # Errors
///
/// The error of the system.
pub fn write_use_marker(database: &Path, id: &OwnedRemote) -> io::Result<()> {
    use io::Write;
    let mut file = fs::OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(use_marker(database))?;
    match &id.target {
        Target::HarborJobs { dirs } => file.write_all(&joined_paths(dirs)),
        Target::DocksApi { .. } => {
            file.write_all(format!("{}\n{}\n", id.owner, id.target).as_bytes())
        }
        Target::HarborServer { url } => {
            file.write_all(format!("{}\n{SERVER_MARK} {url}\n", id.owner).as_bytes())
        }
    }
}

/// Returns what the use marker of a mirror says, if the name of the file confirms it.
pub(super) fn read_use_marker(database: &Path) -> Option<OwnedRemote> {
    let bytes = fs::read(use_marker(database)).ok()?;
    let id = if bytes.starts_with(b"/") {
        let dirs = bytes.split(|byte| *byte == 0);
        let dirs = dirs.map(|dir| PathBuf::from(OsString::from_vec(dir.to_owned())));
        OwnedRemote {
            target: Target::harbor_jobs(dirs),
            owner: Owner::User,
        }
    } else {
        let text = String::from_utf8(bytes).ok()?;
        let mut lines = text.lines();
        let owner = Owner::parse(lines.next()?)?;
        // No address contains a space.
        let target = match lines.next()?.split_once(' ')? {
            (SERVER_MARK, url) => Target::HarborServer {
                url: url.to_owned(),
            },
            (api_url, tenant) => Target::DocksApi {
                api_url: api_url.to_owned(),
                tenant: tenant.to_owned(),
            },
        };
        OwnedRemote { target, owner }
    };
    (database_path(database.parent()?, &id) == database).then_some(id)
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
        let id = api("a", "p");
        assert_eq!(parse_name(&path(&id)).unwrap().1, MirrorId::new(&id));
    }

    #[test]
    fn a_marker_is_believed_only_beside_the_mirror_that_it_describes() {
        let cache = tempfile::tempdir().unwrap();
        let server = |owner| OwnedRemote {
            target: Target::HarborServer {
                url: "http://127.0.0.1:8390".into(),
            },
            owner,
        };
        for id in [
            api("a tenant", "p"),
            jobs(&["/some/jobs", "/a:b"]),
            server(Owner::User),
            server(Owner::Profile("p".into())),
        ] {
            let database = database_path(cache.path(), &id);
            assert_eq!(read_use_marker(&database), None);
            write_use_marker(&database, &id).unwrap();
            assert_eq!(read_use_marker(&database), Some(id));
            let other = database_path(cache.path(), &api("other", "p"));
            fs::copy(use_marker(&database), use_marker(&other)).unwrap();
            assert_eq!(read_use_marker(&other), None);
        }
    }
}
