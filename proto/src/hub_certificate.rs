//! Making the certificate of a hub, which the command line leaves to `docksd --helper certificate`.
//!
//! The helper reads one request, a line of JSON, from its standard input and writes one response to
//! its standard output. A response holds the private key, so it cannot be printed.

use serde::{Deserialize, Serialize};

/// Which certificate to make.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CertificateRequest {
    /// Host names and addresses, in addition to those of this machine.
    pub names: Vec<String>,
    /// From when on it is valid, in seconds since 1970.
    pub from_s: i64,
    /// Until when it is valid, in seconds since 1970.
    pub until_s: i64,
}

/// What came of it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum CertificateResponse {
    /// A new certificate and its key.
    Made {
        /// The certificate in PEM form.
        certificate: String,
        /// Its private key in PEM form.
        key: String,
        /// The names and addresses in it.
        names: Vec<String>,
    },
    /// None could be made.
    Failed {
        /// Why.
        reason: String,
    },
}
