//! Certificates that one remote is trusted by, besides those of the system.
//!
//! A hub often has a certificate of its own, which no public authority vouches for. Trusting it
//! for all of the machine would be too much; so a profile names it.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

/// Names the file, as it is named now.
#[derive(Clone, Default)]
pub(super) struct Roots(Option<Arc<dyn Fn() -> Option<PathBuf> + Send + Sync>>);

/// Which certificates a client was built with: a file and its version, or none.
pub(super) type RootsVersion = Option<(PathBuf, Option<[i64; 4]>)>;

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Roots").field(&self.0.is_some()).finish()
    }
}

impl Roots {
    /// Takes what names the file.
    pub(super) fn of(file: impl Fn() -> Option<PathBuf> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(file)))
    }

    /// Returns the file and its version, without reading it.
    pub(super) fn now(&self) -> RootsVersion {
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

type Problem = Box<dyn std::error::Error + Send + Sync>;

/// Reads the certificates of a file in PEM form.
///
/// # Errors
///
/// What is wrong with the file: trusting less than was asked for would only fail later.
pub(super) fn read(
    version: Option<&(PathBuf, Option<[i64; 4]>)>,
) -> Result<Vec<reqwest::Certificate>, Problem> {
    match version {
        Some((path, _)) => read_certificates(path),
        None => Ok(Vec::new()),
    }
}

/// Reads the certificates of a file in PEM form.
///
/// # Errors
///
/// What is wrong with the file, in words that name it.
pub fn read_certificates(path: &std::path::Path) -> Result<Vec<reqwest::Certificate>, Problem> {
    let name = path.display();
    let text = fs::read(path).map_err(|e| format!("could not read ca_file {name}: {e}"))?;
    let found = reqwest::Certificate::from_pem_bundle(&text)
        .map_err(|e| format!("ca_file {name} is no PEM file: {e}"))?;
    if found.is_empty() {
        return Err(format!("ca_file {name} holds no certificate").into());
    }
    Ok(found)
}
