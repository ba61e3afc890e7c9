//! A `harbor serve` behind TLS, and profiles of one server that have different keys.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use docksd_testkit::tls_proxy::{CertificateFlaw, TlsProxy};

use crate::harbor_server::Served;

fn write_config(served: &Served, text: &str) {
    let path = served.home.path("docks/config.toml");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn a_server_behind_tls_is_trusted_by_its_authority_and_by_nothing_less() {
    let served = Served::start();
    served.finish();
    served
        .server
        .with(|data| data.key = Some("right".to_owned()));
    let server = served.server.url();
    let start = |flaw| served.runtime.block_on(TlsProxy::before(&server, flaw));
    let fine = start(CertificateFlaw::None);
    let authority = served.home.path("authority.pem");
    fs::write(&authority, fine.authority_pem()).unwrap();
    let (authority, url) = (authority.display(), fine.url());
    write_config(
        &served,
        &format!(
            "[safe]\nharbor_server = \"{url}\"\nca_file = \"{authority}\"\ntoken = \"right\"\n\n\
             [blind]\nharbor_server = \"{url}\"\ntoken = \"right\"\n"
        ),
    );
    let run = |line: &str| served.home.run(line);
    let listed = run("-p safe runs eval-list -q").expect_success();
    assert!(listed.starts_with("11111111"), "{listed}");
    let log = run("-p safe runs logs nightly aaaaaaaa").expect_success();
    assert!(log.contains("content of coder.txt"), "{log}");
    let files = run("-p safe runs artifacts nightly --type all -o out").expect_success();
    assert_eq!(files.lines().count(), 6, "{files}");
    let blind = run("-p blind runs eval-list -q");
    assert_eq!(blind.code, Some(5), "{blind:?}");
    assert!(blind.stderr.contains("certificate"), "{}", blind.stderr);
    let before = served.server.requests().len();
    for flaw in [
        CertificateFlaw::Expired,
        CertificateFlaw::WrongHost,
        CertificateFlaw::UnknownIssuer,
    ] {
        let other = start(flaw);
        let (url, own) = (other.url(), served.home.path("own.pem"));
        fs::write(&own, other.authority_pem()).unwrap();
        write_config(
            &served,
            &format!(
                "[odd]\nharbor_server = \"{url}\"\nca_file = \"{}\"\ntoken = \"right\"\n",
                own.display()
            ),
        );
        let odd = run("-p odd runs eval-list -q");
        assert_eq!(odd.code, Some(5), "{flaw:?}: {odd:?}");
        assert!(
            odd.stderr.contains("certificate"),
            "{flaw:?}: {}",
            odd.stderr
        );
    }
    // The key went to none of them.
    assert_eq!(served.server.requests().len(), before);
}

#[test]
fn profiles_with_different_keys_share_nothing_of_one_server() {
    let served = Served::start();
    served.finish();
    served
        .server
        .with(|data| data.key = Some("right".to_owned()));
    let url = served.server.url();
    write_config(
        &served,
        &format!(
            "[good]\nharbor_server = \"{url}\"\ntoken = \"right\"\n\n\
             [bad]\nharbor_server = \"{url}\"\ntoken = \"wrong\"\n"
        ),
    );
    let run = |line: &str| served.home.run(line);
    let listed = run("-p good runs eval-list -q").expect_success();
    assert_eq!(listed.lines().count(), 1);
    run("-p good runs cat nightly aaaaaaaa agent/coder.txt").expect_success();
    let refused = run("-p bad runs eval-list -q");
    assert_eq!(
        (refused.code, &*refused.stdout),
        (Some(4), ""),
        "{refused:?}"
    );
    for line in [
        "runs eval-list -q",
        "runs cat nightly aaaaaaaa agent/coder.txt",
    ] {
        let cached = run(&format!("-p bad --offline {line}"));
        assert_eq!(
            (cached.code, &*cached.stdout),
            (Some(5), ""),
            "{line}: {cached:?}"
        );
        run(&format!("-p good --offline {line}")).expect_success();
    }
    let both = run("-p good,bad runs eval-list -q");
    assert_eq!(
        (both.code, both.stdout),
        (Some(1), listed),
        "{}",
        both.stderr
    );
    assert!(both.stderr.contains("warning: bad: "), "{}", both.stderr);
    // The key changes at the server: now the other profile is right.
    served
        .server
        .with(|data| data.key = Some("wrong".to_owned()));
    let now = run("-p bad runs eval-list --fresh --columns name");
    assert_eq!(now.expect_success(), "nightly\n");
    let before = run("-p good runs eval-list --fresh -q");
    assert_eq!(before.code, Some(4), "{before:?}");
}
