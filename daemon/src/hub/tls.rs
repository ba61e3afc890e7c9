//! The hub's certificate, read again when its files change.
//!
//! Certificates are renewed every few weeks or days by other programs; a hub that had to be
//! restarted for it would one day be found expired.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig, crypto};

use crate::config::TlsFiles;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Says why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadCertificate {
    /// A file could not be read.
    #[error("could not read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// A file holds something else.
    #[error("{} holds no {what} in PEM form", path.display())]
    NoPem {
        /// Which.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
        /// Cause.
        #[source]
        source: pem::Error,
    },
    /// Certificate and key do not belong together, or are of a kind that is not known.
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

/// The hub's side of TLS.
pub(super) struct Tls {
    files: TlsFiles,
    now: Mutex<Version>,
}

struct Version {
    acceptor: TlsAcceptor,
    stamp: [Option<Stamp>; 2],
    looked: Instant,
}

/// Inode, change, size.
type Stamp = [i64; 4];

impl std::fmt::Debug for Tls {
    /// Leaves the key out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// [`BadCertificate`].
    pub(super) fn load(files: TlsFiles) -> Result<Self, BadCertificate> {
        let stamp = stamps(&files);
        let acceptor = acceptor(&files)?;
        Ok(Self {
            files,
            now: Mutex::new(Version {
                acceptor,
                stamp,
                looked: Instant::now(),
            }),
        })
    }

    /// Returns what accepts connections now. May read files, so it blocks now and then.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor_at(Instant::now())
    }

    fn acceptor_at(&self, at: Instant) -> TlsAcceptor {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if at.saturating_duration_since(now.looked) >= LOOK_EVERY {
            now.looked = at;
            let stamp = stamps(&self.files);
            if stamp != now.stamp {
                match acceptor(&self.files) {
                    Ok(acceptor) => {
                        tracing::info!("the hub's certificate was replaced");
                        now.acceptor = acceptor;
                        now.stamp = stamp;
                    }
                    // Half of a renewal: the old one is good until both files are there.
                    Err(error) => {
                        let error = docks_proto::error::error_chain(&error);
                        tracing::warn!(error, "the hub's new certificate cannot be used yet");
                    }
                }
            }
        }
        now.acceptor.clone()
    }
}

fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, BadCertificate> {
    let no_pem = |path: &Path, what| {
        let path = path.to_owned();
        move |source| BadCertificate::NoPem { path, what, source }
    };
    let text = read(&files.certificate)?;
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(no_pem(&files.certificate, "certificate"))?;
    if chain.is_empty() {
        return Err(no_pem(&files.certificate, "certificate")(
            pem::Error::NoItemsFound,
        ));
    }
    let key = PrivateKeyDer::from_pem_slice(&read(&files.key)?)
        .map_err(no_pem(&files.key, "private key"))?;
    let provider = Arc::new(crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
    let mut config = config.map_err(|source| BadCertificate::Unusable {
        certificate: files.certificate.clone(),
        key: files.key.clone(),
        source,
    })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn read(path: &Path) -> Result<Vec<u8>, BadCertificate> {
    fs::read(path).map_err(|source| BadCertificate::Read {
        path: path.to_owned(),
        source,
    })
}

fn stamps(files: &TlsFiles) -> [Option<Stamp>; 2] {
    [&files.certificate, &files.key].map(|path| {
        let found = fs::metadata(path).ok()?;
        let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        Some([
            number(found.ino()),
            found.mtime(),
            found.mtime_nsec(),
            number(found.size()),
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
    fn a_renewed_certificate_is_taken_and_half_of_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let tls = Tls::load(write(dir.path())).unwrap();
        let first = tls.acceptor();
        let mut later = Instant::now();
        let mut look = || {
            later += LOOK_EVERY;
            tls.acceptor_at(later)
        };
        assert!(same(&first, &look()));
        let old_key = fs::read(dir.path().join("key.pem")).unwrap();
        write(dir.path());
        let new_key = fs::read(dir.path().join("key.pem")).unwrap();
        fs::write(dir.path().join("key.pem"), old_key).unwrap();
        assert!(same(&first, &look()), "the key is still the old one");
        fs::write(dir.path().join("key.pem"), new_key).unwrap();
        assert!(!same(&first, &look()));
    }

    #[test]
    fn files_that_are_no_certificate_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let files = write(dir.path());
        let swapped = TlsFiles {
            certificate: files.key.clone(),
            key: files.certificate.clone(),
        };
        let error = Tls::load(swapped).unwrap_err().to_string();
        assert!(error.contains("key.pem holds no certificate"), "{error}");
        fs::remove_file(&files.key).unwrap();
        let error = Tls::load(files).unwrap_err().to_string();
        assert!(error.contains("could not read") && error.contains("key.pem"));
    }
}
