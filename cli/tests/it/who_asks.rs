//! What one credential was shown is never shown to another, and no token goes with another's request.

use std::collections::BTreeSet;

use docks_proto::object::RawObject;
use docks_proto::routes::RunKind;
use docks_proto::settings::Target;
use docks_proto::time::UnixMs;
use docksd::registry::{OwnedRemote, Owner, database_path, identity};
use docksd_mirror::{Mirror, Provenance, RunBatch};

use crate::remote::Remote;
use crate::sealed::CommandResult;
use crate::test_home::{TestHome, eventually};

/// The runs of tenant `ten`; a guest sees the first two.
const RUNS: usize = 8;

fn run(index: usize, status: &str) -> String {
    format!(
        r#"{{"id":"run-{index}","name":"n{index}","status":"{status}","created_at":"2026-01-0{}T00:00:00Z"}}"#,
        index + 1
    )
}

/// A remote at which `admin` sees all runs and `guest` two.
fn remote() -> Remote {
    Remote::start_for_tokens(|request, token| {
        let visible = match token {
            Some("admin" | "admin-renewed") => RUNS,
            Some("guest") => 2,
            _ => return (401, r#"{"detail":"bad token"}"#.to_owned()),
        };
        let (method, target) = request.split_once(' ').unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let offset = query
            .split('&')
            .find_map(|pair| pair.strip_prefix("offset="))
            .map_or(0, |text| text.parse().unwrap());
        let Some(rest) = path.strip_prefix("/tenants/ten/") else {
            return (404, r#"{"detail":"Not Found"}"#.to_owned());
        };
        match (method, rest.split('/').collect::<Vec<_>>().as_slice()) {
            ("GET", ["runs"]) => {
                let items: Vec<_> = (0..visible)
                    .rev()
                    .skip(offset)
                    .map(|i| run(i, "running"))
                    .collect();
                (200, format!("[{}]", items.join(",")))
            }
            ("GET", ["harbor", "runs"]) => (200, "[]".to_owned()),
            ("GET", ["runs", id]) => match id.strip_prefix("run-").and_then(|i| i.parse().ok()) {
                Some(index) if index < visible => (200, run(index, "running")),
                _ => (404, r#"{"detail":"Run not found"}"#.to_owned()),
            },
            ("POST", ["runs", id, "stop"]) => {
                let index = id.strip_prefix("run-").and_then(|i| i.parse().ok());
                match index {
                    Some(index) if index < visible => (200, run(index, "stopped")),
                    _ => (404, r#"{"detail":"Run not found"}"#.to_owned()),
                }
            }
            _ => (404, r#"{"detail":"Not Found"}"#.to_owned()),
        }
    })
}

fn profiles(home: &TestHome, url: &str, tokens: &[(&str, &str)]) {
    let text: String = tokens
        .iter()
        .map(|(name, token)| {
            let token = if token.is_empty() {
                String::new()
            } else {
                format!("token = \"{token}\"\n")
            };
            format!("[{name}]\napi_url = \"{url}\"\ntenant_id = \"ten\"\n{token}\n")
        })
        .collect();
    home.write_settings(text);
}

fn count(home: &TestHome, line: &str) -> usize {
    home.run(line).expect_success().lines().count()
}

fn tokens_used(remote: &Remote) -> BTreeSet<String> {
    let requests = remote.take_requests().into_iter();
    requests.filter_map(|(_, token)| token).collect()
}

/// Runs a line with a token from the environment.
fn run_as(home: &TestHome, token: &str, line: &str) -> CommandResult {
    let mut command = home.command(line);
    CommandResult::new(command.env("DOCKS_TOKEN", token).output().unwrap())
}

/// Waits until the daemon answers, so that every command of a test asks it.
fn start_daemon(home: &TestHome) {
    home.run("daemon start").expect_success();
}

#[test]
fn two_profiles_of_one_tenant_see_their_own_rows_and_act_with_their_own_token() {
    let (home, remote) = (TestHome::new(), remote());
    profiles(&home, &remote.url(), &[("a", "admin"), ("b", "guest")]);
    start_daemon(&home);
    for _ in 0..2 {
        assert_eq!(count(&home, "-p a runs list -q --fresh"), RUNS);
        assert_eq!(count(&home, "-p b runs list -q --fresh"), 2);
        assert_eq!(count(&home, "-p a runs list -q"), RUNS);
        assert_eq!(count(&home, "-p b runs list -q"), 2);
    }
    assert_eq!(home.run("-p b runs get run-7").code, Some(3));
    home.run("-p a runs get run-7").expect_success();
    remote.take_requests();
    home.run("-p b runs stop run-1 --force").expect_success();
    let requests = remote.take_requests();
    let stops: Vec<_> = requests
        .iter()
        .filter(|(request, _)| request.starts_with("POST"))
        .collect();
    let stop = (
        "POST /tenants/ten/runs/run-1/stop".to_owned(),
        Some("guest".to_owned()),
    );
    assert_eq!(stops, [&stop]);
    // The answer to the action of one is not what the other was shown.
    assert!(
        home.run("-p a runs list --offline")
            .expect_success()
            .contains("running")
    );
}

#[test]
fn a_token_from_the_environment_neither_sees_nor_judges_what_the_profile_sees() {
    let (home, remote) = (TestHome::new(), remote());
    profiles(&home, &remote.url(), &[("default", "admin")]);
    start_daemon(&home);
    assert_eq!(count(&home, "runs list -q --fresh"), RUNS);
    let guest = || run_as(&home, "guest", "runs list -q").expect_success();
    assert_eq!(guest().lines().count(), 2);
    remote.take_requests();
    home.run("sync --full").expect_success();
    assert!(tokens_used(&remote).contains("admin"));
    assert_eq!(count(&home, "runs list -q"), RUNS);
    assert_eq!(count(&home, "runs list -q --offline"), RUNS);
    assert_eq!(guest().lines().count(), 2);
    let wrong = run_as(&home, "wrong", "runs list");
    assert_eq!(wrong.code, Some(4), "{wrong:?}");
    assert!(wrong.stdout.is_empty());
}

#[test]
fn the_profiles_own_token_from_the_environment_and_a_renewed_one_keep_its_mirror() {
    let (home, remote) = (TestHome::new(), remote());
    profiles(&home, &remote.url(), &[("default", "admin")]);
    start_daemon(&home);
    assert_eq!(count(&home, "runs list -q --fresh"), RUNS);
    let offline = |token: &str| run_as(&home, token, "runs list -q --offline");
    assert_eq!(offline("admin").expect_success().lines().count(), RUNS);
    assert_eq!(offline("guest").code, Some(5));
    profiles(&home, &remote.url(), &[("default", "admin-renewed")]);
    assert_eq!(count(&home, "runs list -q --offline"), RUNS);
    remote.take_requests();
    assert_eq!(count(&home, "runs list -q --fresh"), RUNS);
    assert!(tokens_used(&remote).contains("admin-renewed"));
}

#[test]
fn a_first_sync_with_everything_from_the_environment_knows_what_is_meant() {
    let (home, remote) = (TestHome::new(), remote());
    start_daemon(&home);
    let mut sync = home.command("sync");
    sync.env("DOCKS_API_URL", remote.url())
        .env("DOCKS_TENANT_ID", "ten")
        .env("DOCKS_TOKEN", "guest");
    let output = sync.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(tokens_used(&remote), BTreeSet::from(["guest".to_owned()]));
    // Another tenant is another remote, with the same token or not.
    sync.env("DOCKS_TENANT_ID", "other").output().unwrap();
    let requests = remote.take_requests();
    let to_other = |(request, _): &(String, _)| request.contains("/tenants/other/");
    assert!(requests.iter().any(to_other), "{requests:?}");
    for (request, _) in requests {
        assert!(request.contains("/tenants/ten/") || request.contains("/tenants/other/"));
    }
    let names: Vec<_> = std::fs::read_dir(home.path("docks/cache"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(
        names.iter().all(|name| !name.contains("guest")),
        "{names:?}"
    );
}

#[test]
fn a_token_in_a_request_over_the_socket_counts_for_that_request() {
    let (home, remote) = (TestHome::new(), remote());
    profiles(&home, &remote.url(), &[("default", "")]);
    start_daemon(&home);
    let curl = |token: Option<&str>| {
        let mut curl = std::process::Command::new("curl");
        curl.args(["-s", "--unix-socket"]).arg(home.socket());
        if let Some(token) = token {
            curl.args(["-H", &format!("Authorization: Bearer {token}")]);
        }
        let output = curl.arg("http://docks/tenants/ten/runs").output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(curl(Some("admin")).matches("\"id\"").count(), RUNS);
    assert_eq!(curl(Some("guest")).matches("\"id\"").count(), 2);
    assert!(curl(None).contains("not_signed_in"), "{}", curl(None));
    assert_eq!(curl(Some("admin")).matches("\"id\"").count(), RUNS);
}

#[test]
fn an_address_that_cannot_be_understood_is_quoted_and_gets_nothing() {
    let (home, remote) = (TestHome::new(), remote());
    let too_large = "http://127.0.0.1:70000";
    let config =
        format!("[default]\napi_url = \"{too_large}\"\ntenant_id = \"ten\"\ntoken = \"t\"\n");
    home.write_settings(config);
    let listed = home.run("runs list");
    assert_eq!(listed.code, Some(2), "{listed:?}");
    assert!(
        listed.stderr.contains("`http://127.0.0.1:70000`"),
        "{listed:?}"
    );
    profiles(&home, &remote.url(), &[("default", "admin")]);
    for address in [
        too_large,
        "http://127.0.0.1:0",
        "http://u:p4ss@127.0.0.1",
        "http://127.0.0.1 ",
    ] {
        for line in [
            &["runs", "list"][..],
            &[
                "profile",
                "add",
                "x",
                "--tenant",
                "ten",
                "--api-url",
                address,
            ],
        ] {
            let mut command = home.command("");
            let output = command
                .args(line)
                .env("DOCKS_API_URL", address)
                .output()
                .unwrap();
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!(
                output.status.code(),
                Some(2),
                "{address} {line:?}: {stderr}"
            );
            assert!(stderr.contains("`http://"), "{stderr}");
            assert!(!stderr.contains("p4ss"), "{stderr}");
        }
    }
    eventually("nothing was asked", || remote.requests().is_empty());
}

#[tokio::test]
async fn the_mirror_of_an_earlier_release_goes_to_the_first_profile() {
    // Nothing listens there, so what is shown was in the mirror.
    let url = "http://127.0.0.1:9";
    let home = TestHome::new();
    profiles(&home, url, &[("a", "admin"), ("b", "guest")]);
    // Earlier releases named no owner.
    let without_owner = OwnedRemote {
        target: Target::DocksApi {
            api_url: url.into(),
            tenant: "ten".into(),
        },
        owner: Owner::User,
    };
    let file = database_path(&home.path("docks/cache"), &without_owner);
    let (mirror, _) = Mirror::open(&file, &*identity(&without_owner), UnixMs::now()).unwrap();
    let old = RawObject::parse(&run(0, "completed")).unwrap();
    mirror
        .upsert_runs(RunBatch {
            kind: RunKind::Run,
            objects: old.into_iter().collect(),
            observed_at: UnixMs::now(),
            provenance: Provenance::Polled,
        })
        .await
        .unwrap();
    mirror.close().await;
    let seen = |profile: &str| home.run(&format!("-p {profile} runs get run-0 --offline"));
    assert_eq!(seen("b").code, Some(5));
    seen("a").expect_success();
    assert!(!file.exists());
    assert_eq!(seen("b").code, Some(5));
}
