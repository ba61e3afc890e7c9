//! Certificates of a hub that no authority has signed: made by `docks hub cert` or by OpenSSL, and
//! trusted by fingerprint or by file.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

use crate::hub::{Hub, sign_in};
use crate::test_home::TestHome;

const LIST: &str = "-p team runs eval-list -q";

/// Lists through the daemon and directly: both must trust the hub.
fn lists_four_jobs(other: &TestHome) {
    other.run("-p team sync").expect_success();
    for line in [LIST, "-p team --no-daemon runs eval-list -q"] {
        let listed = other.run(line).expect_success();
        assert_eq!(listed.lines().count(), 4, "{line}: {listed}");
    }
}

#[test]
fn a_made_certificate_is_trusted_by_its_fingerprint() {
    let maker = TestHome::with_jobs();
    let made = maker.run("hub cert --name hub.example.com");
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    let pin = made.stdout.trim();
    assert!(pin.starts_with("sha256:") && pin.len() == 71, "{pin}");
    for name in ["hub.example.com", "localhost", "127.0.0.1", "::1"] {
        assert!(made.stderr.contains(name), "{name}: {}", made.stderr);
    }
    let key = maker.path("docks/hub-key.pem");
    let mode = fs::metadata(&key).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // It is shown again, and replaced only on request.
    assert_eq!(maker.run("hub cert").expect_success().trim(), pin);
    assert_eq!(maker.run("hub cert --name other").code, Some(1));
    let certificate = maker.path("docks/hub-cert.pem");
    let hub = Hub::start(&tls_options(&certificate, &key));
    let other = TestHome::new();
    let untrusted = sign_in(&other, &hub, &hub.token(), "");
    assert_eq!(untrusted.code, Some(5), "{untrusted:?}");
    assert!(untrusted.stderr.contains(pin), "{}", untrusted.stderr);
    assert!(untrusted.stderr.contains("--pin"), "{}", untrusted.stderr);
    let wrong = format!("--pin sha256:{}", "0".repeat(64));
    let refused = sign_in(&other, &hub, &hub.token(), &wrong);
    assert_eq!(refused.code, Some(5), "{refused:?}");
    assert!(!refused.stderr.contains("signed in"), "{}", refused.stderr);
    assert!(
        !other.path("docks/config.toml").exists(),
        "nothing is saved"
    );
    let signed = sign_in(&other, &hub, &hub.token(), &format!("--pin {pin}"));
    assert_eq!(signed.code, Some(0), "{signed:?}");
    lists_four_jobs(&other);
    // Its artifacts are fetched from the same hub.
    let out = other.path("out");
    let line = format!("-p team runs artifacts nightly-mixed -o {}", out.display());
    other.run(&line).expect_success();
    let new = maker.run("hub cert --force").expect_success();
    assert_ne!(new.trim(), pin);
}

#[test]
fn a_made_certificate_is_trusted_by_its_file_and_names() {
    let maker = TestHome::with_jobs();
    maker.run("hub cert").expect_success();
    let certificate = maker.path("docks/hub-cert.pem");
    let key = maker.path("docks/hub-key.pem");
    let hub = Hub::start(&tls_options(&certificate, &key));
    let other = TestHome::new();
    let trust = format!("--ca-file {}", certificate.display());
    assert_eq!(sign_in(&other, &hub, &hub.token(), &trust).code, Some(0));
    lists_four_jobs(&other);
}

/// Writes a certificate as `openssl req -x509` makes it: it may sign others.
fn write_authority(names: &[&str], dir: &Path) {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut parameters = CertificateParams::new(names).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = parameters.self_signed(&key).unwrap();
    fs::write(dir.join("cert.pem"), certificate.pem()).unwrap();
    fs::write(dir.join("key.pem"), key.serialize_pem()).unwrap();
}

fn tls_options(certificate: &Path, key: &Path) -> String {
    let (certificate, key) = (certificate.display(), key.display());
    format!("--tls-cert {certificate} --tls-key {key}")
}

/// Signs in to a hub with the certificate in a folder, which is trusted by its file; returns the exit
/// code.
fn sign_in_by_file(dir: &Path) -> (TestHome, Option<i32>) {
    let certificate = dir.join("cert.pem");
    let hub = Hub::start(&tls_options(&certificate, &dir.join("key.pem")));
    let other = TestHome::new();
    let trust = format!("--ca-file {}", certificate.display());
    let signed = sign_in(&other, &hub, &hub.token(), &trust);
    if signed.code == Some(0) {
        lists_four_jobs(&other);
    }
    (other, signed.code)
}

#[test]
fn a_certificate_that_may_sign_others_is_trusted_when_the_file_holds_it() {
    for (names, code) in [
        (&["localhost"][..], Some(0)),
        // Only a common name, or none.
        (&[], Some(0)),
        // The file trusts it for its own names.
        (&["other.example"], Some(5)),
    ] {
        let dir = tempfile::tempdir().unwrap();
        write_authority(names, dir.path());
        assert_eq!(sign_in_by_file(dir.path()).1, code, "{names:?}");
    }
}

#[test]
fn a_certificate_of_openssl_is_trusted_by_file_and_by_its_fingerprint() {
    let dir = tempfile::tempdir().unwrap();
    let in_dir = |line: &str| {
        let mut command = Command::new("openssl");
        command.args(line.split_whitespace()).current_dir(&dir);
        command.output()
    };
    let made = in_dir(
        "req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=hub",
    );
    if !made.is_ok_and(|made| made.status.success()) {
        docksd_testkit::skip(
            "hub_cert::a_certificate_of_openssl_is_trusted_by_file_and_by_its_fingerprint",
            "openssl is not installed",
        );
        return;
    }
    assert_eq!(sign_in_by_file(dir.path()).1, Some(0));
    let shown = in_dir("x509 -in cert.pem -noout -fingerprint -sha256").unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    let colons = shown.trim().rsplit('=').next().unwrap();
    let hub = Hub::start(&tls_options(
        &dir.path().join("cert.pem"),
        &dir.path().join("key.pem"),
    ));
    let other = TestHome::new();
    let signed = sign_in(&other, &hub, &hub.token(), &format!("--pin {colons}"));
    assert_eq!(signed.code, Some(0), "{signed:?}");
    lists_four_jobs(&other);
}

#[test]
fn a_pin_that_cannot_be_one_is_refused_before_anything_is_sent() {
    let home = TestHome::new();
    for (line, words) in [
        (
            "--api-url https://127.0.0.1:9 --pin abc",
            "64 hexadecimal digits",
        ),
        (
            "--api-url http://127.0.0.1:9 --pin sha256:0000000000000000000000000000000000000000000000000000000000000000",
            "no certificate",
        ),
    ] {
        let ended = home.run(&format!(
            "auth login -p x --tenant local {line} --token-stdin"
        ));
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
    }
}
