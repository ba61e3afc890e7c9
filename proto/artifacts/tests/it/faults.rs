//! A server that misbehaves never leaves an incomplete file.

use std::sync::Arc;

use docks_proto::secret::Token;
use tokio::sync::Barrier;

use super::server::{Answer, Server};
use super::*;

#[tokio::test]
async fn a_complete_response_becomes_a_file_and_a_truncated_one_leaves_nothing() {
    let server = Server::start(&[
        ("/a/logs.txt?sig=x", Answer::Whole(b"hello".to_vec())),
        ("/b/diff.patch", Answer::Cut(b"half".to_vec())),
    ])
    .await;
    let output = tempfile::tempdir().unwrap();
    let trials = [trial(
        "0123456789abcdef",
        "sum",
        &[
            (
                ArtifactType::Logs,
                format!("{}/a/logs.txt?sig=x", server.url),
            ),
            (ArtifactType::Diff, format!("{}/b/diff.patch", server.url)),
        ],
    )];
    let (outcome, observer) = fetch(&trials, &default_sources(), output.path()).await;
    assert_eq!(files(output.path()), ["run-1/sum_0123456789ab/logs.txt"]);
    assert_eq!((outcome.finished(), outcome.bytes()), (1, 5));
    let failures = observer.failures.into_inner().unwrap();
    assert!(failures[&1].contains("broke off"), "{failures:?}");
    assert!(
        server
            .heads()
            .iter()
            .all(|head| !head.contains("authorization"))
    );
}

#[tokio::test]
async fn a_response_that_breaks_off_is_requested_again() {
    let answer = Answer::Then(
        Box::new(Answer::Cut(b"ha".to_vec())),
        Box::new(Answer::Whole(b"whole".to_vec())),
    );
    let server = Server::start(&[("/x.txt", answer)]).await;
    let output = tempfile::tempdir().unwrap();
    let trials = logs(format!("{}/x.txt", server.url));
    let (outcome, _) = fetch(&trials, &default_sources(), output.path()).await;
    assert_eq!(outcome.finished(), 1);
    let tree = snapshot(output.path());
    assert_eq!(tree["run-1/task_trial-0001/logs.txt"], "file whole");
    assert_eq!(files(output.path()).len(), 1);
}

#[tokio::test]
async fn error_responses_and_redirects_to_other_origins_are_reported() {
    let other = Server::start(&[("/x", Answer::Whole(b"foreign".to_vec()))]).await;
    let server = Server::start(&[
        ("/away", Answer::Redirect(format!("{}/x", other.url))),
        ("/round", Answer::Redirect("/round".to_owned())),
        ("/partial", Answer::Status(206)),
    ])
    .await;
    for (path, expected) in [
        ("/missing", "answered 404"),
        ("/away", "answered 302"),
        ("/round", "answered 302"),
        ("/partial", "answered 206"),
    ] {
        let why = fails(format!("{}{path}", server.url), &default_sources()).await;
        assert!(why.contains(expected), "{path}: {why}");
    }
    assert_eq!(other.heads().len(), 0);
}

#[tokio::test]
async fn a_redirect_within_one_origin_is_not_followed_either() {
    let server = Server::start(&[
        ("/old.txt", Answer::Redirect("/new".to_owned())),
        ("/new", Answer::Whole(b"there".to_vec())),
    ])
    .await;
    let why = fails(format!("{}/old.txt", server.url), &default_sources()).await;
    assert!(why.contains("answered 302"), "{why}");
    assert_eq!(server.heads().len(), 1);
}

#[tokio::test]
async fn a_silent_server_is_given_up_after_some_attempts() {
    let server = Server::start(&[("/x", Answer::Stall(b"some".to_vec()))]).await;
    let short = sources(http(Duration::from_millis(200)), None, &[]);
    let why = fails(format!("{}/x", server.url), &short).await;
    assert!(why.contains("broke off"), "{why}");
    assert_eq!(server.heads().len(), 4, "a limited number of attempts");
}

#[tokio::test]
async fn downloads_run_concurrently() {
    let together = Answer::Together(Arc::new(Barrier::new(8)), b"x".to_vec());
    let server = Server::start(&[("/x", together)]).await;
    let trials: Vec<_> = (0..16)
        .map(|n| {
            let uri = format!("{}/x", server.url);
            trial(&format!("t{n}"), "task", &[(ArtifactType::Logs, uri)])
        })
        .collect();
    let output = tempfile::tempdir().unwrap();
    let (outcome, _) = fetch(&trials, &default_sources(), output.path()).await;
    assert_eq!(outcome.finished(), 16);
}

#[tokio::test]
async fn the_token_is_sent_only_to_the_api() {
    let secret = Answer::Secret("Bearer s3cret".to_owned(), b"mine".to_vec());
    let api = Server::start(&[("/x", secret)]).await;
    let stranger = Server::start(&[("/x", Answer::Whole(b"theirs".to_vec()))]).await;
    let settings = HttpSettings {
        api_url: Some(format!("{}/base", api.url)),
        token: Token::new("s3cret"),
        ..http(IDLE)
    };
    let sources = sources(settings, None, &[]);
    let output = tempfile::tempdir().unwrap();
    let trials = [
        trial("a", "t", &[(ArtifactType::Logs, format!("{}/x", api.url))]),
        trial(
            "b",
            "t",
            &[(ArtifactType::Logs, format!("{}/x", stranger.url))],
        ),
    ];
    let (outcome, _) = fetch(&trials, &sources, output.path()).await;
    assert_eq!(outcome.finished(), 2);
    assert!(stranger.heads().iter().all(|head| !head.contains("s3cret")));
}

/// Sources of a profile that names no host.
fn unnamed(api_url: &str) -> Sources {
    let settings = HttpSettings {
        api_url: Some(api_url.to_owned()),
        hosts: Vec::new(),
        ..http(IDLE)
    };
    sources(settings, None, &[])
}

#[tokio::test]
async fn no_remote_can_use_plain_http_or_local_services() {
    let local = Server::start(&[("/x", Answer::Whole(b"private".to_vec()))]).await;
    let api = Server::start(&[]).await;
    let port = local.url.rsplit_once(':').unwrap().1;
    // Neither one elsewhere nor one on loopback itself.
    for api_url in ["https://api.example", &api.url] {
        let sources = unnamed(api_url);
        for uri in [
            format!("{}/x", local.url),
            format!("http://localhost:{port}/x"),
            "http://storage.example/x".to_owned(),
        ] {
            let why = fails(uri, &sources).await;
            assert!(why.contains("plain http"), "{why}");
        }
        for host in [
            "127.0.0.1",
            "127.1",
            "0.0.0.0",
            "0x7f000001",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "169.254.169.254",
            "10.1.2.3",
            // Names are resolved first.
            "localhost",
            "LocalHost",
        ] {
            let why = fails(format!("https://{host}:{port}/x"), &sources).await;
            assert!(why.contains("has no public address"), "{host}: {why}");
            assert!(why.contains("`artifact_hosts`"), "{host}: {why}");
        }
    }
    assert_eq!(local.connections(), 0, "nothing was even connected to");
}

#[tokio::test]
async fn the_api_itself_and_named_hosts_may_be_local() {
    let server = Server::start(&[("/x", Answer::Whole(b"mine".to_vec()))]).await;
    let host = server.url.trim_start_matches("http://");
    let named = |host: &str| HttpSettings {
        api_url: Some("https://api.example".to_owned()),
        hosts: vec![host.to_owned()],
        ..http(IDLE)
    };
    for sources in [
        unnamed(&server.url),
        sources(named(host), None, &[]),
        sources(named("127.0.0.1"), None, &[]),
    ] {
        let output = tempfile::tempdir().unwrap();
        let trials = logs(format!("{}/x", server.url));
        let (outcome, _) = fetch(&trials, &sources, output.path()).await;
        assert_eq!(outcome.bytes(), 4);
    }
    let other = sources(named("127.0.0.1:1"), None, &[]);
    let why = fails(format!("{}/x", server.url), &other).await;
    assert!(why.contains("plain http"), "{why}");
}

#[tokio::test]
async fn a_cancelled_download_leaves_no_partial_file() {
    let server = Server::start(&[("/x", Answer::Stall(b"some".to_vec()))]).await;
    let output = tempfile::tempdir().unwrap();
    let trials = logs(format!("{}/x", server.url));
    let sources = default_sources();
    let mut running = Box::pin(fetch(&trials, &sources, output.path()));
    let deadline = std::time::Instant::now() + IDLE;
    while files(output.path()).is_empty() {
        assert!(std::time::Instant::now() < deadline, "no download started");
        tokio::select! {
            biased;
            _ = &mut running => panic!("a stalled download ended"),
            () = tokio::task::yield_now() => {}
        }
    }
    drop(running);
    assert_eq!(files(output.path()), Vec::<String>::new());
}
