//! Local files and buckets: what is read and what is refused.

use std::os::unix::fs::symlink;

use super::server::{Answer, Server};
use super::*;

/// A jobs directory next to a secret, with links to the secret and its directory.
struct Jobs {
    root: tempfile::TempDir,
}

impl Jobs {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let trial = root.path().join("jobs/job/trial 1");
        std::fs::create_dir_all(&trial).unwrap();
        std::fs::write(trial.join("result.json"), "{}").unwrap();
        std::fs::write(root.path().join("secret"), "s3cret").unwrap();
        symlink(root.path().join("secret"), trial.join("leak.txt")).unwrap();
        symlink("result.json", trial.join("inside.json")).unwrap();
        symlink(root.path(), trial.join("up")).unwrap();
        Self { root }
    }

    fn sources(&self) -> Sources {
        let jobs = self.root.path().join("jobs").canonicalize().unwrap();
        sources(http(IDLE), Some(jobs), &[])
    }

    fn uri(&self, below: &str) -> String {
        let root = self.root.path().canonicalize().unwrap();
        format!("file://{}/{below}", root.display())
    }
}

#[tokio::test]
async fn files_of_the_jobs_directory_are_copied() {
    let jobs = Jobs::new();
    for name in ["result.json", "inside.json"] {
        let output = tempfile::tempdir().unwrap();
        let trials = logs(jobs.uri(&format!("jobs/job/trial%201/{name}")));
        let (outcome, observer) = fetch(&trials, &jobs.sources(), output.path()).await;
        assert_eq!(outcome.bytes(), 2, "{:?}", observer.failures);
        assert_eq!(files(output.path()), ["run-1/task_trial-0001/logs.json"]);
    }
}

#[tokio::test]
async fn nothing_outside_the_jobs_directory_is_read() {
    let jobs = Jobs::new();
    for (uri, expected) in [
        (jobs.uri("secret"), "outside"),
        (jobs.uri("jobs/job/trial 1/leak.txt"), "outside"),
        (jobs.uri("jobs/job/trial 1/up/secret"), "outside"),
        (jobs.uri("jobs/../secret"), "outside"),
        (jobs.uri("jobs/%2e%2e/secret"), "outside"),
        (jobs.uri("jobs-other/x"), "outside"),
        (jobs.uri("jobs/job"), "not a regular file"),
        (jobs.uri("jobs/gone"), "could not read"),
        ("file://host/etc/passwd".to_owned(), "absolute local path"),
        ("file:///etc/passwd".to_owned(), "outside"),
        ("file://".to_owned(), "absolute local path"),
    ] {
        let why = fails(uri.clone(), &jobs.sources()).await;
        assert!(why.contains(expected), "{uri}: {why}");
    }
}

#[tokio::test]
async fn a_docks_api_must_not_name_local_files() {
    let jobs = Jobs::new();
    let why = fails(jobs.uri("jobs/job/trial 1/result.json"), &default_sources()).await;
    assert!(why.contains("only a jobs directory"), "{why}");
}

#[tokio::test]
async fn objects_of_a_bucket_are_fetched_from_the_named_endpoint() {
    let server = Server::start(&[(
        "/my%2Dbucket/trials%2Ft1%2Flogs%2Etxt",
        Answer::Whole(b"from a bucket".to_vec()),
    )])
    .await;
    let sources = sources(http(IDLE), None, &[("STORAGE_EMULATOR_HOST", &server.url)]);
    let output = tempfile::tempdir().unwrap();
    let trials = logs("gs://my-bucket/trials/t1/logs.txt");
    let (outcome, observer) = fetch(&trials, &sources, output.path()).await;
    assert_eq!(outcome.bytes(), 13, "{:?}", observer.failures);
    assert_eq!(files(output.path()), ["run-1/task_trial-0001/logs.txt"]);
}

#[tokio::test]
async fn a_refused_or_missing_object_says_what_to_do() {
    let server = Server::start(&[
        ("/private/x", Answer::Status(401)),
        ("/private/y", Answer::Status(403)),
        ("/broken/x", Answer::Cut(b"half".to_vec())),
    ])
    .await;
    let sources = sources(http(IDLE), None, &[("STORAGE_EMULATOR_HOST", &server.url)]);
    for (uri, expected) in [
        ("gs://private/x", "GOOGLE_APPLICATION_CREDENTIALS"),
        ("gs://private/y", "GOOGLE_APPLICATION_CREDENTIALS"),
        ("gs://public/gone", "has no such object"),
        ("gs://broken/x", "could not read from bucket `broken`"),
        ("gs://bucket", "without a bucket or an object"),
        ("gs://b@d/x", "without a bucket or an object"),
        ("gs://bucket/../x", "without a bucket or an object"),
    ] {
        let why = fails(uri, &sources).await;
        assert!(why.contains(expected), "{uri}: {why}");
    }
}

#[tokio::test]
async fn a_missing_credentials_file_is_an_error_and_not_a_panic() {
    let variables = [("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/key.json")];
    let sources = sources(http(IDLE), None, &variables);
    let why = fails("gs://bucket/x", &sources).await;
    assert!(why.contains("could not set up access"), "{why}");
}

#[tokio::test]
async fn unknown_kinds_of_address_are_reported() {
    for (uri, expected) in [
        ("ftp://bucket/x", "`ftp://`"),
        ("/etc/passwd", "not an address"),
        ("data:text/plain,x", "not an address"),
        ("http://", "not a URL"),
    ] {
        let why = fails(uri, &default_sources()).await;
        assert!(why.contains(expected), "{uri}: {why}");
    }
}

#[tokio::test]
async fn objects_of_s3_and_azure_are_fetched_from_the_named_endpoint() {
    let server = Server::start(&[
        ("/my-bucket/t1/logs.txt", Answer::Whole(b"from s3".to_vec())),
        (
            "/acc/box/t1/logs.txt",
            Answer::Whole(b"from azure".to_vec()),
        ),
        ("/my-bucket/private", Answer::Status(403)),
        ("/acc/box/private", Answer::Status(403)),
    ])
    .await;
    let endpoint = format!("{}/acc", server.url);
    let variables = [
        ("AWS_ENDPOINT_URL", server.url.as_str()),
        ("AZURE_STORAGE_ACCOUNT", "acc"),
        ("AZURE_STORAGE_ENDPOINT", endpoint.as_str()),
    ];
    let unsigned = sources(http(IDLE), None, &variables);
    for (uri, size_bytes) in [
        ("s3://my-bucket/t1/logs.txt", 7),
        ("az://box/t1/logs.txt", 10),
    ] {
        let output = tempfile::tempdir().unwrap();
        let (outcome, observer) = fetch(&logs(uri), &unsigned, output.path()).await;
        assert_eq!(
            outcome.bytes(),
            size_bytes,
            "{uri}: {:?}",
            observer.failures
        );
    }
    assert!(
        server
            .heads()
            .iter()
            .all(|head| !head.contains("authorization"))
    );
    for (uri, expected) in [
        ("s3://my-bucket/private", "AWS_ACCESS_KEY_ID"),
        ("az://box/private", "AZURE_STORAGE_KEY"),
    ] {
        let why = fails(uri, &unsigned).await;
        assert!(
            why.contains("no credentials are") && why.contains(expected),
            "{why}"
        );
    }
    let keys = [
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "canary"),
        ("AZURE_STORAGE_KEY", "Y2FuYXJ5"),
    ];
    let signed = sources(http(IDLE), None, &[&variables[..], &keys[..]].concat());
    for uri in ["s3://my-bucket/t1/logs.txt", "az://box/t1/logs.txt"] {
        let output = tempfile::tempdir().unwrap();
        let (outcome, observer) = fetch(&logs(uri), &signed, output.path()).await;
        assert_eq!(outcome.finished(), 1, "{uri}: {:?}", observer.failures);
        let head = server.heads().pop().unwrap();
        assert!(head.contains("authorization"), "{head}");
        assert!(
            !head.contains("canary") && !head.contains("Y2FuYXJ5"),
            "{head}"
        );
    }
    let why = fails("s3://my-bucket/private", &signed).await;
    assert!(why.contains("configured credentials"), "{why}");
}

#[tokio::test]
async fn an_emulator_that_sends_no_version_is_supported() {
    let nameless = Answer::Nameless(b"content".to_vec());
    let server = Server::start(&[("/bucket/x%2Etxt", nameless)]).await;
    let sources = sources(http(IDLE), None, &[("STORAGE_EMULATOR_HOST", &server.url)]);
    let output = tempfile::tempdir().unwrap();
    let (outcome, observer) = fetch(&logs("gs://bucket/x.txt"), &sources, output.path()).await;
    assert_eq!(outcome.bytes(), 7, "{:?}", observer.failures);
}
