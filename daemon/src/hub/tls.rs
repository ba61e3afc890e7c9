//! TLS of the hub. The certificate is read again when its files change.
//!
//! Other programs renew certificates every few weeks or days. A hub that had to be restarted for that
//! would serve an expired certificate sooner or later.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use docks_proto::credentials::trust;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig, crypto};

use crate::config::TlsFiles;

/// How often the files are checked.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file could not be read.
    #[error("could not read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// A file does not contain what it should.
    #[error("{} does not contain a {what} in PEM form", path.display())]
    NotPem {
        /// The file.
        path: PathBuf,
        /// What it should contain.
        what: &'static str,
        /// Cause.
        #[source]
        source: pem::Error,
    },
    /// Certificate and key do not belong together, or are of an unsupported kind.
    #[error("the certificate {} cannot be used with the key {}", certificate.display(), key.display())]
    Unusable {
        /// The certificate.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
        /// Cause.
        #[source]
        source: rustls::Error,
    },
}

/// Accepts TLS connections with the current certificate.
pub(super) struct ReloadingTls {
    files: TlsFiles,
    current: Mutex<Loaded>,
}

struct Loaded {
    acceptor: TlsAcceptor,
    versions: [Option<FileVersion>; 2],
    checked: Instant,
}

/// Inode, modification time (seconds and nanoseconds), size.
type FileVersion = [i64; 4];

impl std::fmt::Debug for ReloadingTls {
    /// Omits the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReloadingTls")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

impl ReloadingTls {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// [`CertificateError`].
    pub(super) fn load(files: TlsFiles) -> Result<Self, CertificateError> {
        let versions = file_versions(&files);
        let acceptor = acceptor(&files)?;
        Ok(Self {
            files,
            current: Mutex::new(Loaded {
                acceptor,
                versions,
                checked: Instant::now(),
            }),
        })
    }

    /// Returns the acceptor, unless it is time to look at the files. Does not block.
    pub(super) fn known(&self) -> Option<TlsAcceptor> {
        let current = self.current.try_lock().ok()?;
        let is_due = current.checked.elapsed() >= CHECK_INTERVAL;
        (!is_due).then(|| current.acceptor.clone())
    }

    /// Returns the acceptor for the current certificate. May read files, so it blocks now and then.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor_at(Instant::now())
    }

    fn acceptor_at(&self, at: Instant) -> TlsAcceptor {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if at.saturating_duration_since(current.checked) >= CHECK_INTERVAL {
            current.checked = at;
            let versions = file_versions(&self.files);
            if versions != current.versions {
                match acceptor(&self.files) {
                    Ok(acceptor) => {
                        tracing::info!("the hub's certificate was replaced");
                        current.acceptor = acceptor;
                        current.versions = versions;
                    }
                    // The renewal may be half done; the old one is used until both files are written.
                    Err(error) => {
                        let error = docks_proto::error::error_chain(&error);
                        tracing::warn!(
                            error,
                            "the hub's new certificate cannot be used yet; keeping the old one"
                        );
                    }
                }
            }
        }
        current.acceptor.clone()
    }
}

fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, CertificateError> {
    let not_pem = |path: &Path, what| {
        let path = path.to_owned();
        move |source| CertificateError::NotPem { path, what, source }
    };
    let text = read(&files.certificate)?;
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(not_pem(&files.certificate, "certificate"))?;
    if chain.is_empty() {
        return Err(not_pem(&files.certificate, "certificate")(
            pem::Error::NoItemsFound,
        ));
    }
    check_key_file(&files.key).map_err(|source| CertificateError::Read {
        path: files.key.clone(),
        source,
    })?;
    let key = PrivateKeyDer::from_pem_slice(&read(&files.key)?)
        .map_err(not_pem(&files.key, "private key"))?;
    let provider = Arc::new(crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
    let mut config = config.map_err(|source| CertificateError::Unusable {
        certificate: files.certificate.clone(),
        key: files.key.clone(),
        source,
    })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Refuses a private key that others can replace, and says so if everybody can read it.
fn check_key_file(path: &Path) -> io::Result<()> {
    let found = fs::metadata(path)?;
    trust::check_file(path, &found)?;
    // A group may have it: servers on one machine often share a key.
    if found.is_file() && found.mode() & 0o004 != 0 {
        let path = path.display();
        tracing::warn!("all users can read the private key {path}; `chmod o-r {path}` protects it");
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    fs::read(path).map_err(|source| CertificateError::Read {
        path: path.to_owned(),
        source,
    })
}

fn file_versions(files: &TlsFiles) -> [Option<FileVersion>; 2] {
    [&files.certificate, &files.key].map(|path| {
        let metadata = fs::metadata(path).ok()?;
        let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        Some([
            number(metadata.ino()),
            metadata.mtime(),
            metadata.mtime_nsec(),
            number(metadata.size()),
        ])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertifiedKey, generate_simple_self_signed};

    fn write(dir: &Path) -> TlsFiles {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let files = TlsFiles {
            certificate: dir.join("cert.pem"),
            key: dir.join("key.pem"),
        };
        fs::write(&files.certificate, cert.pem()).unwrap();
        fs::write(&files.key, signing_key.serialize_pem()).unwrap();
        files
    }

    fn same(one: &TlsAcceptor, other: &TlsAcceptor) -> bool {
        Arc::ptr_eq(one.config(), other.config())
    }

    #[test]
    fn a_renewed_certificate_is_used_once_both_files_are_written() {
        let dir = tempfile::tempdir().unwrap();
        let tls = ReloadingTls::load(write(dir.path())).unwrap();
        let first = tls.acceptor();
        let mut later = Instant::now();
        let mut check_again = || {
            later += CHECK_INTERVAL;
            tls.acceptor_at(later)
        };
        assert!(same(&first, &check_again()));
        let old_key = fs::read(dir.path().join("key.pem")).unwrap();
        write(dir.path());
        let new_key = fs::read(dir.path().join("key.pem")).unwrap();
        fs::write(dir.path().join("key.pem"), old_key).unwrap();
        assert!(same(&first, &check_again()), "the key is still the old one");
        fs::write(dir.path().join("key.pem"), new_key).unwrap();
        assert!(!same(&first, &check_again()));
    }

    #[test]
    fn files_without_a_certificate_or_key_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let files = write(dir.path());
        let swapped = TlsFiles {
            certificate: files.key.clone(),
            key: files.certificate.clone(),
        };
        let error = ReloadingTls::load(swapped).unwrap_err().to_string();
        assert!(
            error.contains("key.pem does not contain a certificate"),
            "{error}"
        );
        fs::remove_file(&files.key).unwrap();
        let error = ReloadingTls::load(files).unwrap_err().to_string();
        assert!(error.contains("could not read") && error.contains("key.pem"));
    }
}
