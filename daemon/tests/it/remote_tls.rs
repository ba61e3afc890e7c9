//! The HTTPS transport against certificates that are right and wrong.
//!
//! Whom to trust comes from the environment, which a test cannot change for
//! itself, so each case runs in a process of its own.

use std::process::Command;

use docks_proto::client::{HttpsTransport, Limits, Request, SendError};
use docks_proto::secret::Token;

use docksd_testkit::fake_remote::{FakeRemote, RemoteData};
use docksd_testkit::tls_proxy::{CertificateFlaw, TlsProxy};

const URL: &str = "DOCKSD_TEST_TLS_URL";

#[tokio::test]
#[ignore = "started by the test below, with the authority in its environment"]
async fn a_process_that_says_what_tls_said() {
    let url = std::env::var(URL).unwrap();
    let transport = HttpsTransport::new(&url, Token::new("s3cret"), Limits::default()).unwrap();
    let said = match transport.send(Request::get("/tenants/ten/runs")).await {
        Ok(reply) => format!("status {}", reply.status.as_u16()),
        Err(SendError::Tls { source, .. }) => format!("tls {source:?}"),
        Err(other) => format!("{other:?}"),
    };
    println!("said: {said}");
}

async fn said(remote: &FakeRemote, flaw: CertificateFlaw) -> String {
    let front = TlsProxy::start(remote, flaw).await;
    let dir = tempfile::tempdir().unwrap();
    let authority = dir.path().join("authority.pem");
    std::fs::write(&authority, front.authority_pem()).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--ignored", "--nocapture", "--exact"])
        .arg("remote_tls::a_process_that_says_what_tls_said")
        .env("SSL_CERT_FILE", &authority)
        .env_remove("SSL_CERT_DIR")
        .env(URL, front.url());
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .unwrap()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let found = text.lines().find_map(|line| line.split_once("said: "));
    found.unwrap_or_else(|| panic!("{text}")).1.to_owned()
}

#[tokio::test]
async fn only_a_right_certificate_is_trusted_and_no_token_goes_to_others() {
    let remote = FakeRemote::start(RemoteData::sample(1, 0)).await;
    assert_eq!(said(&remote, CertificateFlaw::None).await, "status 200");
    let seen = remote.take_log();
    assert_eq!(seen[0].authorization.as_deref(), Some("Bearer s3cret"));
    for (flaw, word) in [
        (CertificateFlaw::Expired, "Expired"),
        (CertificateFlaw::WrongHost, "NotValidForName"),
        (CertificateFlaw::UnknownIssuer, "UnknownIssuer"),
    ] {
        let said = said(&remote, flaw).await;
        assert!(
            said.starts_with("tls ") && said.contains(word),
            "{flaw:?}: {said}"
        );
    }
    assert!(remote.log().is_empty());
}
