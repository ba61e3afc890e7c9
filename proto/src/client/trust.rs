//! Which certificates a connection to one remote trusts.
//!
//! A hub often has a certificate that no public authority has signed. Trusting it on the whole
//! machine would be too much, so a profile names a file of certificates, or the fingerprint of one.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};

use super::certificate_verifier::CertificateVerifier;
use crate::settings::TrustSettings;

/// Returns the current settings, which the profile may change.
#[derive(Clone, Default)]
pub(super) struct TrustSource(Option<Arc<dyn Fn() -> TrustSettings + Send + Sync>>);

/// What a client was built with: the settings, and the version of their file.
pub(super) type TrustVersion = (TrustSettings, Option<[i64; 4]>);

impl fmt::Debug for TrustSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TrustSource")
            .field(&self.0.is_some())
            .finish()
    }
}

impl TrustSource {
    /// Uses the settings that the function returns.
    pub(super) fn new(settings: impl Fn() -> TrustSettings + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(settings)))
    }

    /// Returns the settings and the version of their file, without reading it.
    pub(super) fn current_version(&self) -> TrustVersion {
        let settings = self.0.as_ref().map(|settings| settings());
        let settings = settings.unwrap_or_default();
        let file = settings.ca_file.as_ref();
        let version = file.and_then(|path| fs::metadata(path).ok()).map(|found| {
            let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
            [
                number(found.ino()),
                found.mtime(),
                found.mtime_nsec(),
                number(found.size()),
            ]
        });
        (settings, version)
    }
}

/// Why certificates cannot be used; the text names the file.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file could not be read.
    #[error("could not read ca_file {}: {cause}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Cause.
        cause: std::io::Error,
    },
    /// The file is not in PEM form.
    #[error("ca_file {} is not a PEM file: {cause}", path.display())]
    NotPem {
        /// The file.
        path: PathBuf,
        /// Cause.
        cause: pem::Error,
    },
    /// The file has no certificate.
    #[error("ca_file {} has no certificate", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A certificate of the file, or those of the system, cannot be used.
    #[error("could not use the trusted certificates: {0}")]
    Unusable(String),
}

/// Builds the TLS settings of connections to one remote: the system's certificates are trusted, and
/// those of `trust`. Reads files.
///
/// # Errors
///
/// [`TrustError`]: without the certificates, requests would only fail later.
pub fn tls_config(trust: &TrustSettings) -> Result<ClientConfig, TrustError> {
    let own = match &trust.ca_file {
        Some(path) => read_certificates(path)?,
        None => Vec::new(),
    };
    let unusable = |error: rustls::Error| TrustError::Unusable(error.to_string());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = CertificateVerifier::new(own, trust.pin, &provider).map_err(unusable)?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(config)
}

/// Reads the certificates of a file in PEM form.
///
/// # Errors
///
/// What is wrong with the file.
pub fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let path = path.to_owned();
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(cause) => return Err(TrustError::Read { path, cause }),
    };
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if found.is_empty() => Err(TrustError::Empty { path }),
        Ok(found) => Ok(found),
        Err(cause) => Err(TrustError::NotPem { path, cause }),
    }
}
