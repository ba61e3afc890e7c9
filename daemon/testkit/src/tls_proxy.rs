//! A TLS proxy before a fake server, with a valid or an invalid certificate.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, crypto};

use super::fake_remote::FakeRemote;

/// What is wrong with the certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateFlaw {
    /// Nothing.
    None,
    /// It expired years ago.
    Expired,
    /// It was issued for another host.
    WrongHost,
    /// An authority signed it that the client does not trust.
    UnknownIssuer,
}

/// A proxy that terminates TLS on `https://localhost:…` until it is dropped.
pub struct TlsProxy {
    port: u16,
    authority_pem: String,
    accepting: JoinHandle<()>,
}

impl TlsProxy {
    /// Starts the proxy before `remote`.
    pub async fn start(remote: &FakeRemote, flaw: CertificateFlaw) -> Self {
        Self::before(&remote.url(), flaw).await
    }

    /// Starts the proxy before a server with a plain `http://` address.
    pub async fn before(url: &str, flaw: CertificateFlaw) -> Self {
        let (acceptor, authority_pem) =
            acceptor_and_authority(flaw).expect("the certificate parameters are valid");
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .expect("a free loopback port can be bound");
        let port = listener.local_addr().expect("the listener is bound").port();
        let upstream = url.replace("http://", "");
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, upstream) = (acceptor.clone(), upstream.clone());
                drop(tokio::spawn(async move {
                    let mut outer = acceptor.accept(stream).await?;
                    let mut inner = TcpStream::connect(upstream).await?;
                    tokio::io::copy_bidirectional(&mut outer, &mut inner).await
                }));
            }
        });
        Self {
            port,
            authority_pem,
            accepting,
        }
    }

    /// Returns the base URL.
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// Returns the authority's certificate, for the file that `SSL_CERT_FILE` names.
    pub fn authority_pem(&self) -> &str {
        &self.authority_pem
    }
}

impl Drop for TlsProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn authority(name: &str) -> Result<CertifiedIssuer<'static, KeyPair>, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
}

/// Creates the TLS acceptor, and the authority that the client trusts.
fn acceptor_and_authority(
    flaw: CertificateFlaw,
) -> Result<(TlsAcceptor, String), Box<dyn std::error::Error>> {
    let trusted = authority("Trusted")?;
    let untrusted = authority("Untrusted")?;
    let host = match flaw {
        CertificateFlaw::WrongHost => "api.example",
        _ => "localhost",
    };
    let mut params = CertificateParams::new(vec![host.to_owned()])?;
    if flaw == CertificateFlaw::Expired {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2020, 2, 1);
    }
    let issuer = match flaw {
        CertificateFlaw::UnknownIssuer => &untrusted,
        _ => &trusted,
    };
    let key = KeyPair::generate()?;
    let certificate: CertificateDer<'static> = params.signed_by(&key, issuer)?.der().clone();
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    let pem = trusted.pem();
    Ok((TlsAcceptor::from(Arc::new(config)), pem))
}
