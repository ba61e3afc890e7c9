//! Reads and writes the settings and token files in `DOCKS_HOME`.
//!
//! Files have mode 0600 from the start, whatever the umask, and are replaced atomically. New
//! directories have mode 0700.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::trust;
use crate::paths::Paths;
use crate::settings::{ConfigFile, Preferences, SettingsError, preferences_file};

/// Maximum size of a settings or token file; real ones have a few hundred bytes.
const MAX_BYTES: u64 = 1 << 20;

/// Reads both settings files; a missing one counts as empty.
///
/// # Errors
///
/// [`SettingsError`] when one cannot be read or parsed.
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
/// [`SettingsError::File`] with the system's error, or if another user owns or can write the file.
pub fn read_text(path: &Path) -> Result<Option<String>, SettingsError> {
    read_small(path).map_err(|problem| failed("read", path, &problem))
}

/// Reads a file of limited size; `None` when it does not exist.
pub(super) fn read_small(path: &Path) -> io::Result<Option<String>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    trust::check_file(path, &file.metadata()?)?;
    let mut text = String::new();
    file.take(MAX_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    Ok(Some(text))
}

/// Replaces a file atomically, with mode 0600, and creates its directory, with mode 0700, if missing.
///
/// A symlink at `path` is followed, since people keep such files in a dotfiles repository.
///
/// # Errors
///
/// [`SettingsError::File`] with the system's error; the old file is then unchanged.
pub fn write_private(path: &Path, text: &str) -> Result<(), SettingsError> {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    replace(&path, text).map_err(|problem| failed("write", &path, &problem))
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    create_private_dir(folder)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let draft = folder.join(format!(".{name}.{}", std::process::id()));
    // A process with our id was killed while it wrote this draft; nothing else can be writing it.
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = write_draft(&draft, text).and_then(|()| fs::rename(&draft, path));
    if written.is_err() {
        fs::remove_file(&draft).ok();
        return written;
    }
    // After a power failure there is either the old file or the new one.
    File::open(folder)?.sync_all()
}

fn write_draft(draft: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(draft)?;
    // With a umask such as 0777 we could not read it.
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Creates a directory and its missing parents with mode 0700; an existing directory keeps its mode.
///
/// # Errors
///
/// The system's error.
pub fn create_private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Removes a file; returns whether it existed.
///
/// # Errors
///
/// [`SettingsError::File`] with the system's error.
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

/// The version of the settings and token files: while it is equal, none of them was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilesVersion(Vec<(PathBuf, Option<[i64; 4]>)>);

impl FilesVersion {
    /// Returns the current version, without reading the files.
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
