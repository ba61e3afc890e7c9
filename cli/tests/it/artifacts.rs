//! `docks runs artifacts` against a remote that serves trials and their files.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use tempfile::TempDir;

use crate::remote::Remote;
use crate::sealed::{Ended, Sealed};

/// Serves one run with these trials; `{files}` in them stands for the remote's own address.
fn remote(status: &'static str, trials: &'static str) -> Remote {
    let own = Arc::new(OnceLock::<String>::new());
    let address = Arc::clone(&own);
    let remote = Remote::start(move |asked| {
        let path = asked.split([' ', '?']).nth(1).unwrap_or_default();
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

fn download(remote: &Remote, output: &Path, more: &str) -> Ended {
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
fn what_fails_is_exit_12_and_the_rest_is_there() {
    let remote = remote("completed", TRIALS);
    let output = TempDir::new().unwrap();
    let ended = download(&remote, output.path(), "");
    assert_eq!(ended.code, Some(12), "{}", ended.stderr);
    let said = "1 of 3 artifacts could not be downloaded";
    assert!(ended.stderr.contains(said), "{}", ended.stderr);
    let run = output.path().join("0123456789ab");
    assert!(run.join("sum_trial-00000001/logs.txt").is_file());
    assert!(run.join("sum_trial-00000002/logs.txt").is_file());
    assert!(!run.join("sum_trial-00000001/diff.json").exists());
}

#[test]
fn types_and_trials_narrow_what_is_fetched() {
    let remote = remote("running", TRIALS);
    let output = TempDir::new().unwrap();
    let more = "--type logs --trial trial-00000002";
    download(&remote, output.path(), more).good();
    let run = output.path().join("0123456789ab");
    assert!(run.join("sum_trial-00000002/logs.txt").is_file());
    assert!(!run.join("sum_trial-00000001").exists());
}

#[test]
fn nothing_to_fetch_is_said_with_exit_3_and_makes_no_directory() {
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
