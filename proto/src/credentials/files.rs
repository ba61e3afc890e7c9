//! Reading and writing the files below `DOCKS_HOME`.
//!
//! Files are 0600 from their first byte, whatever the umask, and appear whole
//! or not at all. Directories that we make are 0700.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::paths::Paths;
use crate::settings::{ConfigFile, Preferences, SettingsError, preferences_file};

/// Longest settings or token file that is read; real ones have a few hundred bytes.
const MOST_BYTES: u64 = 1 << 20;

/// Reads both settings files; those that do not exist count as empty.
///
/// # Errors
///
/// [`SettingsError`] when one cannot be read or is broken.
pub fn load(paths: &Paths) -> Result<ConfigFile, SettingsError> {
    let path = paths.config_file();
    let config = match read_text(&path)? {
        Some(text) => ConfigFile::parse(&path, &text)?,
        None => ConfigFile::empty(&path),
    };
    let path = preferences_file(paths);
    let preferences = match read_text(&path)? {
        Some(text) => Preferences::parse(&path, &text)?,
        None => Preferences::default(),
    };
    Ok(config.with_preferences(Preferences {
        path,
        ..preferences
    }))
}

/// Reads a settings file as text; `None` when it does not exist.
///
/// # Errors
///
/// [`SettingsError::File`] with the system's reason.
pub fn read_text(path: &Path) -> Result<Option<String>, SettingsError> {
    read_small(path).map_err(|problem| failed("read", path, &problem))
}

/// Reads a file of bounded size; `None` when it does not exist.
pub(super) fn read_small(path: &Path) -> io::Result<Option<String>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = String::new();
    file.take(MOST_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MOST_BYTES {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    Ok(Some(text))
}

/// Replaces a file in one step, mode 0600, and makes its directory, mode 0700, where missing.
///
/// A symlink at `path` is followed, since people keep such files in a repository of their own.
///
/// # Errors
///
/// [`SettingsError::File`] with the system's reason; the old file is then untouched.
pub fn write_private(path: &Path, text: &str) -> Result<(), SettingsError> {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    replace(&path, text).map_err(|problem| failed("write", &path, &problem))
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    make_private_dir(folder)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let draft = folder.join(format!(".{name}.{}", std::process::id()));
    // A draft of a process that was killed; its number is ours now, so nobody else writes it.
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = write_draft(&draft, text).and_then(|()| fs::rename(&draft, path));
    if written.is_err() {
        fs::remove_file(&draft).ok();
        return written;
    }
    // So that a power cut leaves the old file or the new one.
    File::open(folder)?.sync_all()
}

fn write_draft(draft: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(draft)?;
    // A umask such as 0777 would leave it unreadable to us.
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Makes a directory and those above it where missing, mode 0700.
///
/// # Errors
///
/// The system's reason; a directory that exists keeps its mode.
pub fn make_private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Removes a file, and tells whether there was one.
///
/// # Errors
///
/// [`SettingsError::File`] with the system's reason.
pub fn remove(path: &Path) -> Result<bool, SettingsError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed("remove", path, &error)),
    }
}

fn failed(doing: &'static str, path: &Path, problem: &io::Error) -> SettingsError {
    SettingsError::File {
        doing,
        path: path.to_owned(),
        problem: problem.to_string(),
    }
}

/// Marks one version of the files: as long as it is equal, nothing was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilesVersion(Vec<(PathBuf, Option<[i64; 4]>)>);

impl FilesVersion {
    /// Looks at the settings and token files without reading them.
    #[must_use]
    pub fn current(paths: &Paths) -> Self {
        let files = [
            paths.config_file(),
            preferences_file(paths),
            paths.token_file(),
        ];
        Self(files.map(|path| (path.clone(), version(&path))).to_vec())
    }
}

fn version(path: &Path) -> Option<[i64; 4]> {
    let meta = fs::metadata(path).ok()?;
    let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    Some([
        meta.mtime(),
        meta.mtime_nsec(),
        number(meta.size()),
        number(meta.ino()),
    ])
}
