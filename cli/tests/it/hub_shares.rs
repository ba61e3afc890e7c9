//! What a hub shares: several jobs directories, and what its daemon mirrors from elsewhere.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use crate::hub::{Hub, files, sign_in};
use crate::sealed::CommandResult;
use crate::test_home::{TestHome, eventually};

/// Checks that a home downloads the artifacts of a job as they are in a directory.
fn downloads(home: &TestHome, profile: &str, job: &str, original: &Path) {
    let out = home.path(&format!("out-{profile}-{job}"));
    let line = format!("-p {profile} runs artifacts {job} -o {}", out.display());
    home.run(&line).expect_success();
    let (mut there, mut here) = (Vec::new(), Vec::new());
    files(original, &mut there);
    files(&out, &mut here);
    assert!(here.len() > 8, "{}", here.len());
    for (path, content) in &here {
        let same = there.iter().any(|(_, original)| original == content);
        assert!(same, "{} is no file of the hub", path.display());
    }
}

/// Signs in to an address that a daemon shares on.
fn sign_in_to(home: &TestHome, url: &str, tenant: &str, token: &str) -> CommandResult {
    let line = format!("auth login -p {tenant} --api-url {url} --tenant {tenant} --token-stdin");
    let mut command = home.command(&line);
    let mut child = command
        .env("DOCKS_USE_KEYRING", "false")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(token.as_bytes()).unwrap();
    drop(stdin);
    CommandResult::new(child.wait_with_output().unwrap())
}

#[test]
fn several_directories_are_shared_as_one_remote() {
    let home = TestHome::with_jobs();
    let second = home.path("second");
    fs::create_dir(&second).unwrap();
    let moved = second.join("killed-midway");
    fs::rename(home.jobs().join("killed-midway"), &moved).unwrap();
    let hub = Hub::of(home.into(), &format!("--harbor {}", second.display()));
    let other = TestHome::new();
    assert_eq!(sign_in(&other, &hub, &hub.token(), "").code, Some(0));
    other.run("-p team sync").expect_success();
    let list = other.run("-p team runs eval-list -q").expect_success();
    assert_eq!(list.lines().count(), 4);
    downloads(&other, "team", "killed-midway", &moved);
    let first = hub.home.jobs().join("nightly-mixed");
    downloads(&other, "team", "nightly-mixed", &first);
}

#[test]
fn a_daemon_shares_what_it_mirrors_from_another_hub() {
    let far = Hub::start("");
    let middle = TestHome::new();
    assert_eq!(sign_in(&middle, &far, &far.token(), "").code, Some(0));
    let settings = "hub_listen = \"127.0.0.1:0\"\nhub_profiles = [\"team\"]\n";
    fs::write(middle.path("docks/daemon.toml"), settings).unwrap();
    middle.run("daemon start").expect_success();
    let status = middle.status();
    let url = status["hub"]["address"].as_str().unwrap().to_owned();
    assert_eq!(status["hub"]["location"], "profile team");
    let token = middle.run("hub token").expect_success();
    let near = TestHome::new();
    let wrong = sign_in_to(&near, &url, "local", token.trim());
    assert_eq!(wrong.code, Some(4), "{wrong:?}");
    let signed = sign_in_to(&near, &url, "team", token.trim());
    assert_eq!(signed.code, Some(0), "{signed:?}");
    near.run("-p team sync").expect_success();
    let list = "-p team runs eval-list --sort name --columns name";
    let expected = middle.run(list).expect_success();
    assert_eq!(expected.lines().count(), 4);
    assert_eq!(near.run(list).expect_success(), expected);
    let original = far.home.jobs().join("nightly-mixed");
    downloads(&near, "team", "nightly-mixed", &original);
    // Read-only, unless the settings say otherwise.
    let stop = "-p team runs eval-cancel nightly-mixed --force";
    let refused = near.run(stop);
    assert_eq!(refused.code, Some(4), "{refused:?}");
    assert!(refused.stderr.contains("read-only"), "{}", refused.stderr);
    middle.stop();
    let settings = format!("{settings}hub_profiles_read_only = false\n")
        .replace("127.0.0.1:0", url.trim_start_matches("http://"));
    fs::write(middle.path("docks/daemon.toml"), settings).unwrap();
    eventually("the daemon shares on its address again", || {
        middle.run("daemon start").code == Some(0)
    });
    let ended = near.run(stop);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("is not running"), "{}", ended.stderr);
    middle.stop();
}

#[test]
fn what_cannot_be_shared_is_refused_with_what_to_do() {
    let home = TestHome::with_jobs();
    let config = "[api]\napi_url = \"http://127.0.0.1:9\"\ntenant_id = \"t\"\ntoken = \"x\"\n";
    fs::write(home.path("docks/config.toml"), config).unwrap();
    let refused = home.run("-p api hub serve --listen 127.0.0.1:0");
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(
        refused.stderr.contains("hub_profiles"),
        "{}",
        refused.stderr
    );
}
