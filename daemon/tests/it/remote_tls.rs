//! The HTTPS transport with valid and invalid certificates.
//!
//! The trusted authorities come from the environment, which a test cannot change for itself, so each case
//! runs in its own process.

use std::process::Command;

use docks_proto::client::{HttpsTransport, Limits, Request, SendError};
use docks_proto::secret::Token;

use docksd_testkit::fake_remote::{FakeRemote, RemoteData};
use docksd_testkit::tls_proxy::{CertificateFlaw, TlsProxy};

const URL: &str = "DOCKSD_TEST_TLS_URL";

#[tokio::test]
#[ignore = "started by the test below, with the authority in its environment"]
async fn print_the_result_of_one_tls_request() {
    let url = std::env::var(URL).unwrap();
    let transport = HttpsTransport::new(&url, Token::new("s3cret"), Limits::default()).unwrap();
    let result = match transport.send(Request::get("/tenants/ten/runs")).await {
        Ok(reply) => format!("status {}", reply.status.as_u16()),
        Err(SendError::Tls { source, .. }) => format!("tls {source:?}"),
        Err(other) => format!("{other:?}"),
    };
    println!("tls-result: {result}");
}

async fn tls_result(remote: &FakeRemote, flaw: CertificateFlaw) -> String {
    let front = TlsProxy::start(remote, flaw).await;
    let dir = tempfile::tempdir().unwrap();
    let authority = dir.path().join("authority.pem");
    std::fs::write(&authority, front.authority_pem()).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--ignored", "--nocapture", "--exact"])
        .arg("remote_tls::print_the_result_of_one_tls_request")
        .env("SSL_CERT_FILE", &authority)
        .env_remove("SSL_CERT_DIR")
        .env(URL, front.url());
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .unwrap()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let found = text
        .lines()
        .find_map(|line| line.split_once("tls-result: "));
    found.unwrap_or_else(|| panic!("{text}")).1.to_owned()
}

#[tokio::test]
async fn only_a_valid_certificate_is_trusted_and_other_servers_get_no_token() {
    let remote = FakeRemote::start(RemoteData::sample(1, 0)).await;
    assert_eq!(
        tls_result(&remote, CertificateFlaw::None).await,
        "status 200"
    );
    let seen = remote.take_log();
    assert_eq!(seen[0].authorization.as_deref(), Some("Bearer s3cret"));
    for (flaw, word) in [
        (CertificateFlaw::Expired, "certificate expired"),
        (CertificateFlaw::WrongHost, "not valid for name"),
        (CertificateFlaw::UnknownIssuer, "UnknownIssuer"),
    ] {
        let result = tls_result(&remote, flaw).await;
        assert!(
            result.starts_with("tls ") && result.contains(word),
            "{flaw:?}: {result}"
        );
    }
    assert!(remote.log().is_empty());
}
