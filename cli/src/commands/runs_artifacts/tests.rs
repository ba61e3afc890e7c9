//! The whole command against a loopback remote, without a daemon.

use docks_proto::client::{Client, ClientError, HttpsTransport, Limits, Transport};
use docks_proto::freshness::Allowed;
use docks_proto::time::UnixMs;
use http::HeaderMap;

use super::*;
use crate::args::Global;
use crate::artifacts::tests::server::{Answer, Server};
use crate::output::{Look, Output};
use crate::source::Way;

/// Only one way: past the daemon.
struct Direct(String);

impl Ways for Direct {
    async fn first(&self) -> Result<Way, Failure> {
        let transport = HttpsTransport::new(&self.0, None, Limits::default()).unwrap();
        let client = Client::new(
            Transport::Https(Box::new(transport)),
            "tenant",
            HeaderMap::new(),
        );
        Ok(Way::Remote(client.unwrap()))
    }

    async fn next(&self, _: &Way, _: &ClientError) -> Result<Option<Way>, Failure> {
        Ok(None)
    }
}

/// Serves one run with these trials; `{files}` in them stands for the file server.
async fn remote(status: &str, trials: &str, files: &Server) -> Server {
    let list = "/tenants/tenant/harbor/runs";
    let base = "/tenants/tenant/harbor/runs/0123456789abcdef";
    let run = format!(r#"{{"id":"0123456789abcdef","status":"{status}"}}"#);
    let trials = trials.replace("{files}", &files.url);
    Server::start(&[
        (list, Answer::Whole(format!("[{run}]").into_bytes())),
        (base, Answer::Whole(run.into_bytes())),
        (
            &format!("{base}/trials"),
            Answer::Whole(trials.into_bytes()),
        ),
    ])
    .await
}

async fn command(remote: &Server, output: &Path, more: &[&str]) -> Result<(), Failure> {
    use clap::Parser;
    let mut line = vec!["docks", "runs", "artifacts", "0123456789abcdef"];
    line.extend(["-o", output.to_str().unwrap()]);
    line.extend(more);
    let cli = args::Cli::try_parse_from(line).unwrap();
    let args::Command::Runs(args::RunsCommand::Artifacts(args)) = cli.command else {
        panic!("another command");
    };
    let context = Context {
        global: Global::default(),
        output: Output::new(Look::default()),
        now: UnixMs::now(),
    };
    let ways = Direct(remote.url.clone());
    let source = Source::new(ways, Allowed::Default, context.now, &context.output);
    let asked = find(&context, &source, &args).await?;
    let sources = crate::artifacts::tests::usual();
    fetch(&context, &args, &asked, true, &sources).await
}

const TRIALS: &str = r#"[
    {"id":"trial-00000001","task_slug":"sum","logs_uri":"{files}/a.txt","diff_uri":"{files}/gone"},
    {"id":"trial-00000002","task_slug":"sum","logs_uri":"{files}/b.txt","result_uri":null}
]"#;

async fn files() -> Server {
    Server::start(&[
        ("/a.txt", Answer::Whole(b"a".to_vec())),
        ("/b.txt", Answer::Whole(b"b".to_vec())),
    ])
    .await
}

#[tokio::test]
async fn what_fails_is_exit_12_and_the_rest_is_there() {
    let files = files().await;
    let remote = remote("completed", TRIALS, &files).await;
    let output = tempfile::tempdir().unwrap();
    let failure = command(&remote, output.path(), &[]).await.unwrap_err();
    assert_eq!(failure.kind.exit_code(), 12);
    assert_eq!(failure.message, "1 of 3 artifacts could not be downloaded");
    let run = output.path().join("0123456789ab");
    assert!(run.join("sum_trial-00000001/logs.txt").is_file());
    assert!(run.join("sum_trial-00000002/logs.txt").is_file());
    assert!(!run.join("sum_trial-00000001/diff.json").exists());
}

#[tokio::test]
async fn types_and_trials_narrow_what_is_fetched() {
    let files = files().await;
    let remote = remote("running", TRIALS, &files).await;
    let output = tempfile::tempdir().unwrap();
    let more = ["--type", "logs", "--trial", "trial-00000002"];
    command(&remote, output.path(), &more).await.unwrap();
    let run = output.path().join("0123456789ab");
    assert!(run.join("sum_trial-00000002/logs.txt").is_file());
    assert!(!run.join("sum_trial-00000001").exists());
}

#[tokio::test]
async fn nothing_to_fetch_is_said_with_exit_3_and_makes_no_directory() {
    let files = files().await;
    for (trials, more, expected) in [
        ("[]", &[][..], "has no trials"),
        (r#"[{"id":"x"}]"#, &[], "no artifacts: 4 not available"),
        (TRIALS, &["--type", "trajectory"], "2 not available"),
    ] {
        let remote = remote("completed", trials, &files).await;
        let parent = tempfile::tempdir().unwrap();
        let output = parent.path().join("made/only/when/needed");
        let failure = command(&remote, &output, more).await.unwrap_err();
        assert_eq!(failure.kind.exit_code(), 3, "{failure:?}");
        assert!(failure.message.contains(expected), "{failure:?}");
        assert!(!parent.path().join("made").exists());
    }
}
