//! A hub with TLS and its own certificate, and a mirror that is configured to trust it.

use std::fs;
use std::path::Path;

use docksd::config::HubOptions;
use rcgen::{CertifiedKey, generate_simple_self_signed};

use crate::hub_support::TestHub;
use crate::test_daemon::{TestDaemon, detail, eventually};
use docksd_testkit::harbor_jobs::{copy_tree, samples};

fn write_certificate(dir: &Path) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    fs::write(dir.join("cert.pem"), cert.pem()).unwrap();
    fs::write(dir.join("key.pem"), signing_key.serialize_pem()).unwrap();
}

async fn start() -> TestHub {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().canonicalize().unwrap();
    write_certificate(&dir);
    let jobs = dir.join("jobs");
    copy_tree(&samples(), &jobs);
    let tls = |options: &mut HubOptions| {
        options.certificate = Some(dir.join("cert.pem"));
        options.key = Some(dir.join("key.pem"));
    };
    TestHub::start_in(home, jobs, tls).await
}

#[tokio::test]
async fn a_mirror_trusts_a_private_certificate_named_in_its_profile() {
    let hub = start().await;
    assert!(hub.status().await.address.starts_with("https://"));
    let port = hub.address.rsplit(':').next().unwrap();
    let home = tempfile::tempdir().unwrap();
    let config = home.path().join("config.toml");
    let profile = format!(
        "[default]\napi_url = \"https://localhost:{port}\"\ntenant_id = \"local\"\ntoken = \"{}\"\n",
        hub.token
    );
    fs::write(&config, &profile).unwrap();
    let mirror = TestDaemon::start_in(home, |_| {}).await;
    let (runs, fresh) = ("/tenants/local/runs", [("cache-control", "no-cache")]);
    let refused = mirror.get_with(runs, &fresh).await;
    assert_eq!(refused.status, 504);
    let message = detail(&refused).message;
    assert!(message.contains("could not trust"), "{message}");
    let certificate = hub.jobs.with_file_name("cert.pem");
    let trusting = format!("{profile}ca_file = \"{}\"\n", certificate.display());
    fs::write(&config, trusting).unwrap();
    eventually("the certificate is trusted without a restart", || async {
        let reply = mirror.get_with(runs, &fresh).await;
        reply.status == 200 && reply.body.len() > 1_000
    })
    .await;
    let list = mirror.get_with("/tenants/local/harbor/runs", &fresh).await;
    let text = String::from_utf8(list.body.to_vec()).unwrap();
    let base = format!("\"https://localhost:{port}/tenants/local/harbor/runs/");
    assert!(text.contains(&base), "URLs begin with that of the profile");
    mirror.end().await;
    hub.daemon.end().await;
}

#[tokio::test]
async fn a_hub_with_tls_does_not_answer_plain_http() {
    let hub = start().await;
    let response = hub.get("/tenants/local/runs", "").await;
    assert_eq!(response.status, 0, "{}", response.head);
    assert_eq!(hub.status().await.requests, 0);
    hub.daemon.end().await;
}
