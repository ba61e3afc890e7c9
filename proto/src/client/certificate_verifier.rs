//! Verifies the certificate of a remote: by the system's authorities, by those that its profile
//! trusts, or because it is the very certificate that the profile names.

use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};
use rustls_platform_verifier::Verifier;

use crate::settings::CertificatePin;

/// Verifies certificates with what one profile trusts.
pub(super) struct CertificateVerifier {
    trusted: Vec<CertificateDer<'static>>,
    pin: Option<CertificatePin>,
    provider: Arc<CryptoProvider>,
    algorithms: WebPkiSupportedAlgorithms,
    /// Of the system's authorities and the profile's; reading the former takes milliseconds.
    authorities: OnceLock<Result<Verifier, Error>>,
}

/// A certificate that is not trusted, with what a person needs to trust it.
#[derive(Debug)]
struct Untrusted {
    fingerprint: CertificatePin,
    reason: String,
}

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (reason, fingerprint) = (&self.reason, &self.fingerprint);
        write!(
            f,
            "{reason}; the certificate has the fingerprint {fingerprint}"
        )
    }
}

impl std::error::Error for Untrusted {}

impl fmt::Debug for CertificateVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateVerifier")
            .field("trusted", &self.trusted.len())
            .field("pin", &self.pin)
            .finish_non_exhaustive()
    }
}

impl CertificateVerifier {
    /// Trusts these certificates in addition to the system's or, with a pin, only the pinned one.
    ///
    /// # Errors
    ///
    /// When a certificate cannot be parsed, or the system has none and none is given.
    pub(super) fn new(
        trusted: Vec<CertificateDer<'static>>,
        pin: Option<CertificatePin>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        for certificate in &trusted {
            roots.add(certificate.clone())?;
        }
        let verifier = Self {
            trusted,
            pin,
            algorithms: provider.signature_verification_algorithms,
            provider: Arc::clone(provider),
            authorities: OnceLock::new(),
        };
        if pin.is_none() {
            verifier.authorities().map_err(Clone::clone)?;
        }
        Ok(verifier)
    }

    fn authorities(&self) -> Result<&Verifier, &Error> {
        let read = || {
            Verifier::new_with_extra_roots(self.trusted.iter().cloned(), Arc::clone(&self.provider))
        };
        self.authorities.get_or_init(read).as_ref()
    }

    /// Verifies a certificate that the profile's file holds itself, whether or not it may sign others.
    ///
    /// `openssl req -x509` makes one that may, and names no hosts. Who has its key is whom the profile
    /// trusts, so the missing names are no reason to refuse it; names that it has must match, though:
    /// the file may hold those of several hosts.
    fn verify_own(
        &self,
        certificate: &CertificateDer<'_>,
        server: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone().into_owned())?;
        let verifier =
            WebPkiServerVerifier::builder_with_provider(roots.into(), Arc::clone(&self.provider))
                .build()
                .map_err(|error| Error::General(error.to_string()))?;
        // Looks at the period of validity before all else.
        match verifier.verify_server_cert(certificate, &[], server, &[], now) {
            Err(error) if is_about_its_signer(&error) => {
                let parsed = ParsedCertificate::try_from(certificate)?;
                without_names_is_fine(verify_server_name(&parsed, server))
            }
            verified => without_names_is_fine(verified.map(drop)),
        }
    }
}

/// Whether a certificate was refused only for who has signed it, or because it may sign others.
fn is_about_its_signer(error: &Error) -> bool {
    match error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => true,
        Error::InvalidCertificate(CertificateError::Other(OtherError(error))) => {
            let cause = error.downcast_ref::<webpki::Error>();
            cause == Some(&webpki::Error::CaUsedAsEndEntity)
        }
        _ => false,
    }
}

/// Accepts a certificate that has no names.
fn without_names_is_fine(verified: Result<(), Error>) -> Result<ServerCertVerified, Error> {
    match verified {
        Err(Error::InvalidCertificate(CertificateError::NotValidForNameContext {
            presented,
            ..
        })) if presented.is_empty() => Ok(ServerCertVerified::assertion()),
        other => other.map(|()| ServerCertVerified::assertion()),
    }
}

/// Says why [`CertificateVerifier`] refused a certificate, and which one.
pub(super) fn why_untrusted(error: &Error) -> Option<String> {
    match error {
        Error::InvalidCertificate(CertificateError::Other(OtherError(error))) => {
            error.downcast_ref::<Untrusted>().map(ToString::to_string)
        }
        _ => None,
    }
}

fn untrusted(fingerprint: CertificatePin, reason: String) -> Error {
    let error = Untrusted {
        fingerprint,
        reason,
    };
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(error))))
}

impl ServerCertVerifier for CertificateVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let fingerprint = CertificatePin::of_der(end_entity);
        if let Some(pin) = &self.pin {
            if *pin == fingerprint {
                return Ok(ServerCertVerified::assertion());
            }
            let reason = format!("the profile trusts only the certificate {pin}");
            return Err(untrusted(fingerprint, reason));
        }
        let verified = if self.trusted.iter().any(|own| own == end_entity) {
            self.verify_own(end_entity, server_name, now)
        } else {
            let verifier = self.authorities().map_err(Clone::clone)?;
            verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        };
        verified.map_err(|error| untrusted(fingerprint, error.to_string()))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
