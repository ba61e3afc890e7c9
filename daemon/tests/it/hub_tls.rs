//! A hub that speaks TLS with a certificate of its own, and a mirror that is told to trust it.

use std::fs;
use std::path::Path;

use docksd::config::HubOptions;
use rcgen::{CertifiedKey, generate_simple_self_signed};

use crate::hub_support::TestHub;
use crate::test_daemon::{TestDaemon, detail, eventually};
use docksd_testkit::harbor_jobs::{copy_tree, samples};

fn certify(dir: &Path) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    fs::write(dir.join("cert.pem"), cert.pem()).unwrap();
    fs::write(dir.join("key.pem"), signing_key.serialize_pem()).unwrap();
}

async fn start() -> TestHub {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().canonicalize().unwrap();
    certify(&dir);
    let jobs = dir.join("jobs");
    copy_tree(&samples(), &jobs);
    let tls = |options: &mut HubOptions| {
        options.certificate = Some(dir.join("cert.pem"));
        options.key = Some(dir.join("key.pem"));
    };
    TestHub::start_in(home, jobs, tls).await
}

#[tokio::test]
async fn a_mirror_trusts_a_private_certificate_once_its_profile_says_so() {
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
    assert!(text.contains(&base), "addresses are those of the profile");
    mirror.end().await;
    hub.daemon.end().await;
}

#[tokio::test]
async fn plain_http_gets_nothing_from_a_hub_with_tls() {
    let hub = start().await;
    let told = hub.get("/tenants/local/runs", "").await;
    assert_eq!(told.status, 0, "{}", told.head);
    assert_eq!(hub.status().await.requests, 0);
    hub.daemon.end().await;
}
