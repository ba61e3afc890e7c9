//! Which certificates of a remote are trusted besides those that the system trusts.

use super::{SettingsError, StoredProfile};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Bytes of a SHA-256 digest.
const DIGEST_BYTES: usize = 32;

/// Which certificates of a remote are trusted besides those that the system trusts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustSettings {
    /// PEM file with certificates to trust: of authorities, or the remote's own.
    pub ca_file: Option<PathBuf>,
    /// The only certificate that is accepted, whoever signed it and whatever names it has.
    pub pin: Option<CertificatePin>,
}

impl TrustSettings {
    /// Returns which certificates a profile trusts.
    pub(super) fn of_profile(name: &str, stored: &StoredProfile) -> Result<Self, SettingsError> {
        let profile = || name.to_owned();
        if let Some(path) = stored.ca_file.clone().filter(|path| !path.is_absolute()) {
            return Err(SettingsError::RelativeCaFile {
                profile: profile(),
                path,
            });
        }
        let pin = stored.pin.as_ref().map(|text| text.parse()).transpose();
        Ok(TrustSettings {
            ca_file: stored.ca_file.clone(),
            pin: pin.map_err(|problem| SettingsError::BadPin {
                profile: profile(),
                problem,
            })?,
        })
    }
}

/// The SHA-256 fingerprint of a certificate, of its whole DER encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CertificatePin([u8; DIGEST_BYTES]);

/// A text that is no fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a fingerprint is SHA-256: 64 hexadecimal digits, as `docks hub cert` and `openssl x509 -noout -fingerprint -sha256` print it"
)]
pub struct NotAPin;

impl CertificatePin {
    /// Returns the fingerprint of a certificate in DER form.
    #[must_use]
    pub fn of_der(der: &[u8]) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, der);
        let bytes = digest.as_ref().try_into();
        Self(bytes.expect("SHA-256 has 32 bytes"))
    }
}

impl fmt::Display for CertificatePin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for CertificatePin {
    type Err = NotAPin;

    /// Reads what [`Display`](fmt::Display) writes, and what OpenSSL prints: digits in pairs with
    /// colons, after `sha256 Fingerprint=`.
    fn from_str(text: &str) -> Result<Self, NotAPin> {
        let lower = text.trim().to_ascii_lowercase();
        let digits = lower.strip_prefix("sha256").map_or(&*lower, |rest| {
            let rest = rest.trim_start();
            let rest = rest.strip_prefix("fingerprint").unwrap_or(rest);
            rest.trim_start_matches([':', '=', ' '])
        });
        let digits: Vec<u8> = digits.bytes().filter(|byte| *byte != b':').collect();
        if digits.len() != 2 * DIGEST_BYTES {
            return Err(NotAPin);
        }
        let digit = |byte: u8| char::from(byte).to_digit(16).ok_or(NotAPin);
        let mut bytes = [0; DIGEST_BYTES];
        let (pairs, _) = digits.as_chunks();
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            let value = digit(*high)? << 4 | digit(*low)?;
            *byte = u8::try_from(value).map_err(|_| NotAPin)?;
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_as_printed_here_and_by_openssl() {
        let pin = CertificatePin::of_der(b"certificate");
        let plain = pin.to_string();
        let digits = plain.strip_prefix("sha256:").unwrap();
        let pairs: Vec<&str> = (0..digits.len())
            .step_by(2)
            .map(|i| &digits[i..i + 2])
            .collect();
        let colons = pairs.join(":").to_uppercase();
        for text in [
            plain.clone(),
            format!(" {digits}\n"),
            colons.clone(),
            format!("sha256 Fingerprint={colons}"),
            format!("SHA256 Fingerprint={colons}"),
            format!("SHA256:{colons}"),
        ] {
            assert_eq!(text.parse(), Ok(pin), "{text}");
        }
        for bad in ["", "sha256:", &plain[..70], &format!("{plain}0"), "sha1:00"] {
            assert_eq!(bad.parse::<CertificatePin>(), Err(NotAPin), "{bad}");
        }
        assert_eq!("g".repeat(64).parse::<CertificatePin>(), Err(NotAPin));
    }
}
