//! Additional root certificates for one remote.
//!
//! A hub often has a self-signed certificate. Trusting it on the whole machine would be too much, so
//! a profile names it in `ca_file`.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

/// Returns the current path of the file, which the profile may change.
#[derive(Clone, Default)]
pub(super) struct CaFile(Option<Arc<dyn Fn() -> Option<PathBuf> + Send + Sync>>);

/// The certificates a client was built with: a file and its version, or none.
pub(super) type CaFileVersion = Option<(PathBuf, Option<[i64; 4]>)>;

impl fmt::Debug for CaFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CaFile").field(&self.0.is_some()).finish()
    }
}

impl CaFile {
    /// Uses the file that the function returns.
    pub(super) fn new(file: impl Fn() -> Option<PathBuf> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(file)))
    }

    /// Returns the file and its version, without reading it.
    pub(super) fn current_version(&self) -> CaFileVersion {
        let path = self.0.as_ref().and_then(|file| file())?;
        let version = fs::metadata(&path).ok().map(|found| {
            let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
            [
                number(found.ino()),
                found.mtime(),
                found.mtime_nsec(),
                number(found.size()),
            ]
        });
        Some((path, version))
    }
}

type ReadError = Box<dyn std::error::Error + Send + Sync>;

/// Reads the certificates of a file in PEM form.
///
/// # Errors
///
/// What is wrong with the file: without its certificates, requests would only fail later.
pub(super) fn read(
    version: Option<&(PathBuf, Option<[i64; 4]>)>,
) -> Result<Vec<reqwest::Certificate>, ReadError> {
    match version {
        Some((path, _)) => read_certificates(path),
        None => Ok(Vec::new()),
    }
}

/// Reads the certificates of a file in PEM form.
///
/// # Errors
///
/// What is wrong with the file; the text names it.
pub fn read_certificates(path: &std::path::Path) -> Result<Vec<reqwest::Certificate>, ReadError> {
    let name = path.display();
    let text = fs::read(path).map_err(|e| format!("could not read ca_file {name}: {e}"))?;
    let found = reqwest::Certificate::from_pem_bundle(&text)
        .map_err(|e| format!("ca_file {name} is not a PEM file: {e}"))?;
    if found.is_empty() {
        return Err(format!("ca_file {name} has no certificate").into());
    }
    Ok(found)
}
