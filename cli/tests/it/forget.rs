//! `docks cache forget`, and where the mirrors that it removes are listed.

use std::path::PathBuf;
use std::process::Stdio;

use docks_proto::mirrors::{MirrorId, shared_path};
use docks_proto::settings::Target;
use serde_json::Value;

use crate::sealed::CommandResult;
use crate::terminal::at_terminal;
use crate::test_home::{TestHome, eventually, wait_for_all};
use crate::whose_artifacts::{
    Files, LOGS, home_of_two, log_of, profiles, run_as, write_earlier_cache,
};

fn profile_list(home: &TestHome) -> Vec<Value> {
    let text = home.run("profile list --format json").expect_success();
    serde_json::from_str(&text).unwrap()
}

/// Returns the row of a profile, or the only row of a kind of owner.
fn row<'a>(rows: &'a [Value], key: &str, value: &str) -> &'a Value {
    let mut found = rows.iter().filter(|row| row[key] == value);
    let row = found
        .next()
        .unwrap_or_else(|| panic!("no {value}: {rows:?}"));
    assert!(found.next().is_none(), "{value} twice: {rows:?}");
    row
}

fn handle(row: &Value) -> String {
    let handle = row["mirror"].as_str().unwrap();
    assert_eq!(handle.len(), 8, "{row}");
    handle.to_owned()
}

/// Lists the files of mirrors.
fn mirror_files(home: &TestHome) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(home.path("docks/cache")).unwrap();
    let mut files: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file() && !path.ends_with("mirror-names.key"))
        .collect();
    files.sort();
    files
}

fn databases(home: &TestHome) -> usize {
    let files = mirror_files(home);
    let is_database = |path: &&PathBuf| path.extension().is_some_and(|e| e == "db");
    files.iter().filter(is_database).count()
}

fn offline(home: &TestHome, profile: &str) -> CommandResult {
    home.run(&format!("-p {profile} runs trials run-1 -q --offline"))
}

fn logs_offline(home: &TestHome, profile: &str) -> CommandResult {
    home.run(&format!("-p {profile} {LOGS} --offline"))
}

/// Checks that only profile `a` is forgotten.
fn assert_only_b_is_left(home: &TestHome) {
    assert_eq!(offline(home, "b").expect_success(), "trial-1\n");
    assert_eq!(logs_offline(home, "b").expect_success(), log_of("guest"));
    assert_eq!(offline(home, "a").code, Some(5));
}

#[test]
fn forgetting_a_profile_removes_exactly_its_things_while_the_daemon_runs() {
    let files = Files::start();
    let home = home_of_two(&files);
    for profile in ["a", "b"] {
        home.run(&format!("-p {profile} cache pull run-1"))
            .expect_success();
        home.run(&format!("-p {profile} cache pin run-1"))
            .expect_success();
    }
    let mirrors = databases(&home);
    let pid = home.pid();
    let forgotten = home.run("cache forget a --yes");
    assert_eq!(forgotten.code, Some(0), "{forgotten:?}");
    assert!(forgotten.stderr.contains("profile a"), "{forgotten:?}");
    assert!(
        forgotten.stderr.contains("1 cached artifact (17 B)"),
        "{forgotten:?}"
    );
    assert_eq!(databases(&home), mirrors - 1);
    let status = home.run("cache status --format json").expect_success();
    let status: Value = serde_json::from_str(&status).unwrap();
    assert_eq!(
        (&status["objects"], &status["addresses"]),
        (&1.into(), &1.into())
    );
    assert_eq!(status["runs"].as_array().unwrap().len(), 1, "{status}");
    assert_only_b_is_left(&home);
    // The profile is still signed in, and the daemon mirrors its remote again.
    assert_eq!(home.pid(), pid, "the daemon kept running");
    let trials = home.run("-p a runs trials run-1 -q").expect_success();
    assert_eq!(trials, "trial-1\n");
    eventually("the remote is mirrored again", || {
        offline(&home, "a").code == Some(0)
    });
    assert_eq!(logs_offline(&home, "a").code, Some(5));
    assert_eq!(
        home.run(&format!("-p a {LOGS}")).expect_success(),
        log_of("admin")
    );
}

#[test]
fn forgetting_works_without_a_daemon_and_starts_none() {
    let files = Files::start();
    let home = home_of_two(&files);
    for profile in ["a", "b"] {
        home.run(&format!("-p {profile} {LOGS}")).expect_success();
    }
    home.stop();
    let before = mirror_files(&home);
    home.run("cache forget a --yes").expect_success();
    assert!(home.daemons().is_empty());
    let after = mirror_files(&home);
    assert!(after.iter().all(|path| before.contains(path)), "{after:?}");
    let left = databases(&home);
    assert_eq!(left, 1, "{after:?}");
    home.run("daemon start").expect_success();
    assert_only_b_is_left(&home);
    home.stop();
    // Reading has created an empty one.
    home.run("cache forget a --yes").expect_success();
    let mut alone = home.command("cache forget b --yes");
    let alone = CommandResult::new(alone.env("DOCKS_NO_DAEMON", "1").output().unwrap());
    assert_eq!(alone.code, Some(0), "{alone:?}");
    assert_eq!(mirror_files(&home), Vec::<PathBuf>::new());
    assert!(
        home.run("cache forget b --yes")
            .stderr
            .contains("nothing of profile b")
    );
}

#[test]
fn a_forgotten_profile_does_not_inherit_what_an_earlier_release_has_cached() {
    for has_run in [true, false] {
        let files = Files::start();
        let home = home_of_two(&files);
        let root = home.path("docks/cache/artifacts");
        write_earlier_cache(&root, &files.remote.url(), "cached long ago\n");
        if !has_run {
            std::fs::remove_dir_all(root.join("runs")).unwrap();
        }
        home.run("cache forget a --yes").expect_success();
        home.run("-p a runs trial run-1 trial-1").expect_success();
        assert_eq!(logs_offline(&home, "a").code, Some(5));
        let status = home.run("cache status --format json").expect_success();
        let status: Value = serde_json::from_str(&status).unwrap();
        assert_eq!(status["runs"], Value::Array(vec![]));
        // Without a run, nobody knows any more whose it was.
        assert_eq!(status["objects"], u64::from(!has_run));
    }
}

#[test]
fn content_that_two_owners_have_stays_for_the_other() {
    let files = Files::start();
    let home = TestHome::new();
    let url = files.remote.url();
    profiles(&home, &url, &[("a", "same"), ("b", "same")]);
    for profile in ["a", "b"] {
        home.run(&format!("-p {profile} cache pull run-1 --no-daemon"))
            .expect_success();
    }
    let forgotten = home.run("cache forget a --yes --no-daemon");
    assert!(
        forgotten.stderr.contains("1 cached artifact (0 B)"),
        "{forgotten:?}"
    );
    home.run("daemon start").expect_success();
    home.run("-p b runs trial run-1 trial-1").expect_success();
    assert_eq!(logs_offline(&home, "b").expect_success(), log_of("same"));
}

#[test]
fn without_a_terminal_it_needs_yes_and_at_one_it_asks() {
    let files = Files::start();
    let home = home_of_two(&files);
    let before = databases(&home);
    let refused = home.run("cache forget a");
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("--yes"), "{refused:?}");
    let (code, screen) = at_terminal(home.command("cache forget a"), 120, "n\n");
    assert!(
        screen.contains("Forget the mirror of profile a ("),
        "{screen}"
    );
    assert!(screen.contains(&files.remote.url()), "{screen}");
    assert_eq!(code, Some(1), "{screen}");
    assert_eq!(databases(&home), before);
    let (code, screen) = at_terminal(home.command("cache forget a"), 120, "y\n");
    assert_eq!(code, Some(0), "{screen}");
    assert_eq!(databases(&home), before - 1);
}

#[test]
fn every_mirror_is_listed_with_owner_size_and_last_use_and_can_be_forgotten() {
    let files = Files::start();
    let home = home_of_two(&files);
    let url = files.remote.url();
    run_as(&home, "someone", "-p a runs trial run-1 trial-1").expect_success();
    run_as(&home, "someone", &format!("-p a {LOGS}")).expect_success();
    // A remote that was only ever named by the environment, before mirrors had owners.
    let orphan = Target::DocksApi {
        api_url: "https://old.example".into(),
        tenant: "ten".into(),
    };
    let orphan_file = shared_path(&home.path("docks/cache"), &orphan);
    std::fs::write(&orphan_file, "rows").unwrap();
    let rows = profile_list(&home);
    assert_eq!(rows.len(), 4, "{rows:?}");
    for (name, owner) in [("a", "profile a"), ("b", "profile b")] {
        let row = row(&rows, "name", name);
        assert_eq!(row["owner"], owner);
        assert_eq!(
            (&row["kind"], &row["location"]),
            (&"docks_api".into(), &url.clone().into())
        );
        assert_eq!(row["tenant"], "ten");
        let size: u64 = row["size_bytes"].as_str().unwrap().parse().unwrap();
        assert!(size > 4_096, "{row}");
        assert!(
            row["last_used"].as_str().unwrap().starts_with("20"),
            "{row}"
        );
    }
    let token = row(&rows, "owner", "token");
    assert_eq!(
        (&token["name"], &token["location"]),
        (&"".into(), &url.clone().into())
    );
    let old = row(&rows, "owner", "unknown");
    assert_eq!(old["location"], "old-example-ten");
    assert_eq!(handle(old), MirrorId::shared(&orphan).handle());
    let tsv = home.run("profile list --format tsv").expect_success();
    let heading = "default\tname\tkind\tlocation\ttenant\towner\tmirror\tsize_bytes\tlast_used\n";
    assert!(tsv.starts_with(heading), "{tsv}");

    let status = home.status();
    let remotes = status["remotes"].as_array().unwrap();
    assert_eq!(remotes.len(), 3, "{status}");
    for remote in remotes {
        let owner = if remote["profiles"] == Value::Array(vec![]) {
            "token"
        } else {
            "profile"
        };
        assert_eq!(remote["owner"], owner);
        assert!(remote["last_used"].is_string() && remote["database_bytes"].as_u64() > Some(0));
        assert!(
            rows.iter().any(|row| row["mirror"] == remote["mirror"]),
            "{remote}"
        );
    }
    let closed = status["closed_mirrors"].as_array().unwrap();
    assert_eq!(closed.len(), 1, "{status}");
    assert_eq!(
        (&closed[0]["owner"], &closed[0]["mirror"]),
        (&"unknown".into(), &old["mirror"])
    );
    assert_eq!(closed[0]["size_bytes"], 4);
    let shown = home.run("daemon status").expect_success();
    assert!(
        shown.contains(&format!("mirror {}", handle(old))),
        "{shown}"
    );

    home.run(&format!("cache forget {} --yes", handle(old)))
        .expect_success();
    assert!(!orphan_file.exists());
    let token = handle(token);
    home.run(&format!("cache forget {token} --yes"))
        .expect_success();
    let again = home.run(&format!("cache forget {token} --yes"));
    assert_eq!(again.code, Some(3), "{again:?}");
    let offline_as_someone = run_as(&home, "someone", &format!("-p a {LOGS} --offline"));
    assert_eq!(offline_as_someone.code, Some(5));
    assert_eq!(offline(&home, "a").code, Some(0));
    for (line, code) in [
        ("cache forget -p a b --yes", 2),
        ("cache forget nobody --yes", 3),
    ] {
        assert_eq!(home.run(line).code, Some(code), "{line}");
    }
    // The mirrors of profiles are also listed, and found, when the profile is gone.
    home.run("cache forget b --yes").expect_success();
    run_as(&home, "someone", "-p a cache forget --yes").expect_success();
    let removed = home.run("profile remove a --force");
    let former = handle(row(&profile_list(&home), "owner", "profile a"));
    assert!(
        removed
            .stderr
            .contains(&format!("`docks cache forget {former}`")),
        "{removed:?}"
    );
    home.run("cache forget a --yes").expect_success();
    eventually("no mirror is left", || databases(&home) == 0);
}

#[test]
fn without_an_argument_the_mirror_of_who_asks_is_forgotten() {
    let files = Files::start();
    let home = TestHome::new();
    profiles(&home, &files.remote.url(), &[("default", "admin")]);
    home.run("daemon start").expect_success();
    home.run("runs trial run-1 trial-1").expect_success();
    run_as(&home, "guest", "runs trial run-1 trial-1").expect_success();
    run_as(&home, "guest", "cache forget --yes").expect_success();
    let of_guest = || run_as(&home, "guest", "runs trials run-1 --offline");
    assert_eq!(of_guest().code, Some(5));
    assert_eq!(offline(&home, "default").code, Some(0));
    // The profile's own token is the profile.
    run_as(&home, "admin", "cache forget --yes").expect_success();
    assert_eq!(offline(&home, "default").code, Some(5));
}

#[test]
fn a_jobs_directory_is_forgotten_with_its_artifacts() {
    let home = TestHome::with_jobs();
    home.run_jobs("runs eval-list").expect_success();
    home.run_jobs("cache pull nightly-mixed --type result")
        .expect_success();
    let usage = || -> Value {
        let text = home.run("cache status --format json").expect_success();
        serde_json::from_str(&text).unwrap()
    };
    assert_ne!(usage()["objects"], 0);
    home.run_jobs("cache forget --yes").expect_success();
    assert_eq!(
        (&usage()["objects"], &usage()["runs"]),
        (&0.into(), &Value::Array(vec![]))
    );
    home.run_jobs("runs eval-get nightly-mixed")
        .expect_success();
}

#[test]
fn requests_that_arrive_while_a_mirror_is_forgotten_are_answered() {
    let files = Files::start();
    let home = home_of_two(&files);
    let readers: Vec<_> = (0..24)
        .map(|index| {
            let profile = if index % 2 == 0 { "a" } else { "b" };
            let mut command = home.command(&format!("-p {profile} runs trials run-1 -q"));
            if index % 6 == 3 {
                command = home.command("cache forget a --yes");
            }
            command.stdin(Stdio::null()).spawn().unwrap()
        })
        .collect();
    for ended in wait_for_all(readers) {
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(
            ended.stdout.is_empty() || ended.stdout == "trial-1\n",
            "{ended:?}"
        );
    }
    home.run("-p a runs trials run-1 -q --fresh")
        .expect_success();
    assert_eq!(offline(&home, "a").expect_success(), "trial-1\n");
}

#[test]
fn a_login_with_another_token_says_that_the_mirror_is_kept() {
    let files = Files::start();
    let home = TestHome::new();
    profiles(&home, &files.remote.url(), &[("default", "admin")]);
    home.run("daemon start").expect_success();
    home.run("runs trial run-1 trial-1").expect_success();
    let login = |token: &str, more: &str| {
        let mut command = home.command(&format!("auth login --token-stdin {more}"));
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        std::io::Write::write_all(&mut stdin, token.as_bytes()).unwrap();
        drop(stdin);
        let ended = wait_for_all(vec![child]).remove(0);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended.stderr
    };
    let hint = "`docks cache forget default`";
    assert!(!login("admin", "").contains(hint), "it is the same token");
    let kept = login("guest", "");
    assert!(kept.contains("note: ") && kept.contains(hint), "{kept}");
    assert_eq!(offline(&home, "default").code, Some(0));
    // {"sub":"ann"}, {"sub":"ann"} with another signature, {"sub":"bob"}
    login("h.eyJzdWIiOiJhbm4ifQ.s", "");
    let renewed = login("h.eyJzdWIiOiJhbm4ifQ.t", "");
    assert!(!renewed.contains(hint), "it is the same person: {renewed}");
    let other = login("h.eyJzdWIiOiJib2IifQ.s", "");
    assert!(
        other.contains("warning: the new token is another person's"),
        "{other}"
    );
    assert!(other.contains(hint), "{other}");
    home.run(LOGS).expect_success();
    let forgotten = login("guest", "--forget-mirror");
    assert!(
        forgotten.contains("forgot the mirror of profile default"),
        "{forgotten}"
    );
    assert_eq!(logs_offline(&home, "default").code, Some(5));
    home.run("runs trials run-1").expect_success();
}
