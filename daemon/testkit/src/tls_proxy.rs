//! TLS in front of a fake remote, with certificates that are right or wrong.

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
pub enum Flaw {
    /// Nothing.
    None,
    /// It ended years ago.
    Expired,
    /// It is another machine's.
    WrongHost,
    /// Nobody whom the client trusts signed it.
    UnknownIssuer,
}

/// A proxy that ends TLS on `https://localhost:…`; it ends when it is dropped.
pub struct TlsFront {
    port: u16,
    authority_pem: String,
    accepting: JoinHandle<()>,
}

impl TlsFront {
    /// Starts in front of `remote`.
    pub async fn start(remote: &FakeRemote, flaw: Flaw) -> Self {
        let (acceptor, authority_pem) = certify(flaw).expect("the parameters are right");
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .expect("a free loopback port can be bound");
        let port = listener.local_addr().expect("it is bound").port();
        let behind = remote.url().replace("http://", "");
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, behind) = (acceptor.clone(), behind.clone());
                drop(tokio::spawn(async move {
                    let mut outer = acceptor.accept(stream).await?;
                    let mut inner = TcpStream::connect(behind).await?;
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

    /// Returns the authority that a client shall trust, for a file that `SSL_CERT_FILE` names.
    pub fn authority_pem(&self) -> &str {
        &self.authority_pem
    }
}

impl Drop for TlsFront {
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

/// Makes the server's side, and the authority that the client trusts.
fn certify(flaw: Flaw) -> Result<(TlsAcceptor, String), Box<dyn std::error::Error>> {
    let trusted = authority("Trusted")?;
    let stranger = authority("Stranger")?;
    let host = match flaw {
        Flaw::WrongHost => "api.example",
        _ => "localhost",
    };
    let mut params = CertificateParams::new(vec![host.to_owned()])?;
    if flaw == Flaw::Expired {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2020, 2, 1);
    }
    let issuer = match flaw {
        Flaw::UnknownIssuer => &stranger,
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
