//! `docks runs artifacts` against a remote that serves trials and their files.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use tempfile::TempDir;

use crate::remote::Remote;
use crate::sealed::{CommandResult, Sealed};

/// Serves one run with these trials; `{files}` in them is replaced by the address of the remote.
fn remote(status: &'static str, trials: &'static str) -> Remote {
    let own = Arc::new(OnceLock::<String>::new());
    let address = Arc::clone(&own);
    let remote = Remote::start(move |request| {
        let path = request.split([' ', '?']).nth(1).unwrap_or_default();
        let run = format!(r#"{{"id":"0123456789abcdef","status":"{status}"}}"#);
        match path {
            "/tenants/ten/harbor/runs" => (200, format!("[{run}]")),
            "/tenants/ten/harbor/runs/0123456789abcdef" => (200, run),
            "/tenants/ten/harbor/runs/0123456789abcdef/trials" => {
                (200, trials.replace("{files}", address.get().unwrap()))
            }
            "/a.txt" => (200, "a".to_owned()),
            "/b.txt" => (200, "b".to_owned()),
            _ => (404, "{}".to_owned()),
        }
    });
    own.set(remote.url()).unwrap();
    remote
}

fn download(remote: &Remote, output: &Path, more: &str) -> CommandResult {
    let output = output.display();
    Sealed::new(remote).run(&format!(
        "runs artifacts 0123456789abcdef -o {output} {more}"
    ))
}

const TRIALS: &str = r#"[
    {"id":"trial-00000001","task_slug":"sum","logs_uri":"{files}/a.txt","diff_uri":"{files}/gone"},
    {"id":"trial-00000002","task_slug":"sum","logs_uri":"{files}/b.txt","result_uri":null}
]"#;

#[test]
fn a_failed_download_is_exit_12_and_the_others_are_complete() {
    let remote = remote("completed", TRIALS);
    let output = TempDir::new().unwrap();
    let ended = download(&remote, output.path(), "");
    assert_eq!(ended.code, Some(12), "{}", ended.stderr);
    let expected = "1 of 3 artifacts could not be downloaded";
    assert!(ended.stderr.contains(expected), "{}", ended.stderr);
    let run = output.path().join("0123456789ab");
    assert!(run.join("sum_trial-00000001/logs.txt").is_file());
    assert!(run.join("sum_trial-00000002/logs.txt").is_file());
    assert!(!run.join("sum_trial-00000001/diff.json").exists());
}

#[test]
fn types_and_trials_restrict_what_is_downloaded() {
    let remote = remote("running", TRIALS);
    let output = TempDir::new().unwrap();
    let more = "--type logs --trial trial-00000002";
    download(&remote, output.path(), more).expect_success();
    let run = output.path().join("0123456789ab");
    assert!(run.join("sum_trial-00000002/logs.txt").is_file());
    assert!(!run.join("sum_trial-00000001").exists());
}

#[test]
fn nothing_to_download_is_exit_3_and_creates_no_directory() {
    for (trials, more, expected) in [
        ("[]", "", "has no trials"),
        (r#"[{"id":"x"}]"#, "", "no artifacts: 4 not available"),
        (TRIALS, "--type trajectory", "2 not available"),
    ] {
        let remote = remote("completed", trials);
        let parent = TempDir::new().unwrap();
        let output = parent.path().join("made/only/when/needed");
        let ended = download(&remote, &output, more);
        assert_eq!(ended.code, Some(3), "{}", ended.stderr);
        assert!(ended.stderr.contains(expected), "{}", ended.stderr);
        assert!(!parent.path().join("made").exists());
    }
}

/// A home directory for several commands.
struct Home {
    remote: Remote,
    sealed: Sealed,
    output: TempDir,
}

impl Home {
    fn new(trials: &'static str) -> Self {
        let remote = remote("completed", trials);
        Self {
            sealed: Sealed::new(&remote),
            remote,
            output: TempDir::new().unwrap(),
        }
    }

    fn run(&self, line: &str) -> CommandResult {
        self.sealed.run(line)
    }

    fn artifacts(&self, more: &str) -> CommandResult {
        let output = self.output.path().display();
        self.run(&format!(
            "runs artifacts 0123456789abcdef -o {output} {more}"
        ))
    }

    fn asked_for(&self, path: &str) -> usize {
        let requests = self.remote.requests();
        requests
            .iter()
            .filter(|request| request.contains(path))
            .count()
    }
}

const GOOD: &str = r#"[
    {"id":"trial-00000001","task_slug":"sum","status":"failed","logs_uri":"{files}/a.txt"},
    {"id":"trial-00000002","task_slug":"fix","status":"passed","logs_uri":"{files}/b.txt"}
]"#;

#[test]
fn json_has_size_hash_source_and_whether_it_was_cached() {
    let home = Home::new(GOOD);
    let rows = home.artifacts("--format json").expect_success();
    let rows: Vec<serde_json::Value> = serde_json::from_str(&rows).unwrap();
    assert_eq!(rows.len(), 2);
    let row = &rows[0];
    assert_eq!(
        row["sha256"],
        "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
    );
    assert_eq!(
        (&row["size_bytes"], &row["cached"]),
        (&1.into(), &false.into())
    );
    assert_eq!(row["source"], format!("{}/a.txt", home.remote.url()));
    assert_eq!(row["task"], "sum");
    let path = row["path"].as_str().unwrap();
    assert_eq!(std::fs::read_to_string(path).unwrap(), "a");
}

#[test]
fn options_select_artifacts_and_a_dry_run_writes_nothing() {
    let home = Home::new(GOOD);
    for (more, expected) in [
        ("--failed-only", "sum_trial-000000/logs.txt"),
        ("--status passed", "fix_trial-000000/logs.txt"),
        ("--pattern fix*/*.txt", "fix_trial-000000/logs.txt"),
        ("--pattern a.txt", "sum_trial-000000/logs.txt"),
    ] {
        let ended = home.artifacts(&format!("--dry-run {more}"));
        assert!(
            ended.stderr.contains("would download 1 file (1 B)"),
            "{more}: {}",
            ended.stderr
        );
        let stdout = ended.expect_success();
        assert_eq!(stdout.lines().count(), 1, "{stdout}");
        assert!(stdout.trim_end().ends_with(expected), "{more}: {stdout}");
    }
    let nothing = std::fs::read_dir(home.output.path()).unwrap().count();
    assert_eq!(nothing, 0);
    let ended = home.artifacts("--pattern *.zip");
    assert_eq!(ended.code, Some(3));
    assert!(ended.stderr.contains("do not match"), "{}", ended.stderr);
}

#[test]
fn an_edited_file_is_exit_12_without_overwrite() {
    let home = Home::new(GOOD);
    home.artifacts("").expect_success();
    let path = home
        .output
        .path()
        .join("0123456789ab/sum_trial-000000/logs.txt");
    std::fs::write(&path, "mine").unwrap();
    let ended = home.artifacts("");
    assert_eq!(ended.code, Some(12));
    assert!(ended.stderr.contains("--overwrite"), "{}", ended.stderr);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    home.artifacts("--overwrite").expect_success();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "a");
}

#[test]
fn the_cache_is_pulled_counted_pinned_pruned_and_cleared() {
    let home = Home::new(GOOD);
    home.run("cache pull 0123456789abcdef").expect_success();
    assert_eq!(home.asked_for("/a.txt"), 1);
    home.run("cache pin 0123456789abcdef").expect_success();
    let status = || -> serde_json::Value {
        let text = home.run("cache status --format json").expect_success();
        serde_json::from_str(&text).unwrap()
    };
    let now = status();
    assert_eq!(
        (&now["objects"], &now["size_bytes"]),
        (&2.into(), &2.into())
    );
    assert_eq!(now["limit_bytes"], 10_000_000_000_u64);
    let run = &now["runs"][0];
    assert_eq!((&run["cached"], &run["pinned"]), (&2.into(), &true.into()));
    // What was confirmed recently is not requested again.
    home.artifacts("--max-age 1h --format json")
        .expect_success();
    assert_eq!(home.asked_for("/a.txt"), 1);
    home.run("cache verify").expect_success();
    home.run("cache prune --to 0").expect_success();
    assert_eq!(status()["objects"], 2, "pinned");
    home.run("cache unpin 0123456789abcdef").expect_success();
    home.run("cache prune --to 1B").expect_success();
    assert_eq!(status()["objects"], 1);
    home.run("cache clear").expect_success();
    assert_eq!(status()["objects"], 0);
}

#[test]
fn no_token_is_written_to_disk() {
    let home = Home::new(GOOD);
    home.artifacts("").expect_success();
    home.run("cache pull 0123456789abcdef").expect_success();
    let mut left = vec![home.sealed.home().to_owned(), home.output.path().to_owned()];
    let mut files = 0;
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(std::fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
        } else if path.is_file() {
            files += 1;
            let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
            assert!(!text.contains("canary-token"), "{}", path.display());
        }
    }
    assert!(files >= 6, "two files, two objects, two addresses");
}
