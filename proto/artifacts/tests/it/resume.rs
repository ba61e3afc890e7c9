//! Downloads that break off: a file has the bytes of one version, or does not exist.

use std::collections::BTreeSet;

use super::server::{Answer, Object, Server};
use super::*;

const SIZE_BYTES: usize = 4 << 20;
const STEP_BYTES: usize = 64 << 10;

/// Random content, so that no two parts are equal.
fn content(seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(|| random.u8(..))
        .take(SIZE_BYTES)
        .collect()
}

fn whole(_: usize) -> usize {
    usize::MAX
}

async fn serve(object: &Object) -> Server {
    Server::start(&[("/x.bin", Answer::Object(object.clone()))]).await
}

/// The three kinds of address of the one object of the server.
pub(super) fn kinds(server: &Server) -> [(String, Sources); 3] {
    let (host, path) = (&server.url, "x.bin");
    [
        (format!("{host}/{path}"), default_sources()),
        (
            format!("s3://bucket/{path}"),
            sources(http(IDLE), None, &[("AWS_ENDPOINT_URL", host)]),
        ),
        (
            format!("gs://bucket/{path}"),
            sources(http(IDLE), None, &[("STORAGE_EMULATOR_HOST", host)]),
        ),
    ]
}

/// Serves the same object under the paths of all three kinds.
pub(super) async fn serve_kinds(object: &Object) -> Server {
    Server::start(&[
        ("/x.bin", Answer::Object(object.clone())),
        ("/bucket/x.bin", Answer::Object(object.clone())),
        ("/bucket/x%2Ebin", Answer::Object(object.clone())),
    ])
    .await
}

/// Every 64 KiB; fewer for stores, whose library waits before it retries.
fn cuts(kind: usize) -> impl Iterator<Item = usize> {
    let step = if kind == 0 {
        STEP_BYTES
    } else {
        16 * STEP_BYTES
    };
    (STEP_BYTES..SIZE_BYTES).step_by(step)
}

fn read(output: &Path) -> Option<Vec<u8>> {
    std::fs::read(output.join("run-1/task_trial-0001/logs.bin")).ok()
}

#[tokio::test]
async fn a_response_cut_every_64_kib_is_resumed_without_transferring_bytes_twice() {
    let expected = content(1);
    for kind in 0..3 {
        for cut in cuts(kind) {
            let cut_once = move |number| if number == 0 { cut } else { usize::MAX };
            let object = Object::new(expected.clone(), cut_once);
            let server = serve_kinds(&object).await;
            let (uri, sources) = &kinds(&server)[kind];
            let output = tempfile::tempdir().unwrap();
            let (outcome, observer) = fetch(&logs(uri), sources, output.path()).await;
            assert_eq!(
                outcome.finished(),
                1,
                "{uri} {cut}: {:?}",
                observer.failures
            );
            assert!(read(output.path()).unwrap() == expected, "{uri} {cut}");
            let sent = *object.sent.lock().unwrap();
            assert!(
                sent * 10 <= SIZE_BYTES * 11,
                "{uri} {cut}: {sent} bytes moved"
            );
            assert_eq!(files(output.path()).len(), 1, "nothing is left beside it");
        }
        // The library of stores retries itself, so only plain http is cut in every response.
        if kind > 0 {
            continue;
        }
        let object = Object::new(expected.clone(), |_| STEP_BYTES);
        let server = serve(&object).await;
        let output = tempfile::tempdir().unwrap();
        let (outcome, _) = fetch(
            &logs(format!("{}/x.bin", server.url)),
            &default_sources(),
            output.path(),
        )
        .await;
        assert_eq!(outcome.finished(), 1);
        assert!(read(output.path()).unwrap() == expected);
        assert_eq!(*object.sent.lock().unwrap(), SIZE_BYTES);
    }
}

#[tokio::test]
async fn versions_of_an_object_that_changes_between_attempts_are_never_mixed() {
    let (old, new) = (content(1), content(2));
    for honours_conditions in [true, false] {
        for kind in 0..3 {
            for cut in cuts(kind) {
                let now = std::sync::Arc::new(Mutex::new((old.clone(), "\"v1\"".to_owned())));
                let (change, next) = (std::sync::Arc::clone(&now), new.clone());
                let mut object = Object::new(Vec::new(), move |number| {
                    // The first response breaks off, and then the object changes.
                    if number == 0 {
                        *change.lock().unwrap() = (next.clone(), "\"v2\"".to_owned());
                        cut
                    } else {
                        usize::MAX
                    }
                });
                object.now = now;
                object.honours_conditions = honours_conditions;
                let server = serve_kinds(&object).await;
                let (uri, sources) = &kinds(&server)[kind];
                let output = tempfile::tempdir().unwrap();
                let (outcome, observer) = fetch(&logs(uri), sources, output.path()).await;
                match read(output.path()) {
                    Some(bytes) => assert!(bytes == new, "{uri} {cut}: a mix"),
                    None => assert_eq!(outcome.failed(), 1, "{:?}", observer.failures),
                }
                assert!(
                    kind > 0 || outcome.finished() == 1,
                    "over plain http it starts over: {:?}",
                    observer.failures
                );
            }
        }
    }
}

/// Breaks a download off so that a partial file is left; returns the number of bytes sent.
async fn broken(object: &Object, output: &Path) -> usize {
    let server = serve(object).await;
    let uri = format!("{}/x.bin", server.url);
    let (outcome, _) = fetch(&logs(uri), &default_sources(), output).await;
    assert_eq!(outcome.failed(), 1);
    *object.sent.lock().unwrap()
}

#[tokio::test]
async fn the_next_command_resumes_where_the_last_one_stopped() {
    let expected = content(1);
    let mut other = content(2);
    other.truncate(SIZE_BYTES / 2);
    for (next, tag, again) in [(&expected, "\"v1\"", false), (&other, "\"v2\"", true)] {
        let object = Object::new(expected.clone(), |number| match number {
            0 => SIZE_BYTES / 2,
            1..=3 => 0,
            _ => usize::MAX,
        });
        let output = tempfile::tempdir().unwrap();
        let server = serve(&object).await;
        let trials = logs(format!("{}/x.bin", server.url));
        let (outcome, _) = fetch(&trials, &default_sources(), output.path()).await;
        assert_eq!((outcome.failed(), read(output.path())), (1, None));
        assert_eq!(
            files(output.path()).into_iter().collect::<BTreeSet<_>>(),
            [".logs.bin.part", ".logs.bin.part.journal"]
                .map(|name| format!("run-1/task_trial-0001/{name}"))
                .into()
        );
        *object.now.lock().unwrap() = (next.clone(), tag.to_owned());
        let (outcome, observer) = fetch(&trials, &default_sources(), output.path()).await;
        assert_eq!(outcome.finished(), 1, "{:?}", observer.failures);
        assert!(read(output.path()).as_ref() == Some(next));
        let moved = *observer.moved.lock().unwrap() as usize;
        let expected_moved = if again { next.len() } else { SIZE_BYTES / 2 };
        assert_eq!(moved, expected_moved);
        assert_eq!(files(output.path()).len(), 1);
    }
}

#[tokio::test]
async fn a_partial_file_without_a_matching_journal_is_discarded() {
    let expected = content(1);
    for damage in ["journal of another address", "short part", "no journal"] {
        let stuck = Object::new(
            expected.clone(),
            |n| if n == 0 { SIZE_BYTES / 2 } else { 0 },
        );
        let output = tempfile::tempdir().unwrap();
        broken(&stuck, output.path()).await;
        let part = output.path().join("run-1/task_trial-0001/.logs.bin.part");
        let journal = part.with_extension("part.journal");
        match damage {
            // Another server is another address, whose versions prove nothing here.
            "journal of another address" => {}
            "short part" => std::fs::write(&part, b"short").unwrap(),
            _ => std::fs::remove_file(&journal).unwrap(),
        }
        let object = Object::new(expected.clone(), whole);
        let server = serve(&object).await;
        let trials = logs(format!("{}/x.bin", server.url));
        let (outcome, _) = fetch(&trials, &default_sources(), output.path()).await;
        assert_eq!(outcome.finished(), 1, "{damage}");
        assert!(read(output.path()).unwrap() == expected, "{damage}");
        assert_eq!(*object.sent.lock().unwrap(), SIZE_BYTES, "{damage}");
    }
}

#[tokio::test]
async fn planted_partial_files_are_left_alone() {
    let object = Object::new(content(1), whole);
    let server = serve(&object).await;
    let trials = logs(format!("{}/x.bin", server.url));
    for kind in ["link", "hard link", "directory"] {
        let setup = tempfile::tempdir().unwrap();
        let secret = setup.path().join("secret");
        std::fs::write(&secret, "unchanged").unwrap();
        let trial = setup.path().join("target/run-1/task_trial-0001");
        std::fs::create_dir_all(&trial).unwrap();
        let part = trial.join(".logs.bin.part");
        match kind {
            "link" => std::os::unix::fs::symlink(&secret, &part).unwrap(),
            "hard link" => std::fs::hard_link(&secret, &part).unwrap(),
            _ => std::fs::create_dir(&part).unwrap(),
        }
        let before = snapshot(setup.path());
        let (outcome, observer) =
            fetch(&trials, &default_sources(), &setup.path().join("target")).await;
        assert_eq!(outcome.failed(), 1, "{kind}");
        let failures = observer.failures.into_inner().unwrap();
        assert!(failures[&0].contains("left alone"), "{kind}: {failures:?}");
        assert_eq!(snapshot(setup.path()), before, "{kind}");
    }
}

#[tokio::test]
async fn what_a_store_has_sent_before_it_went_down_is_not_sent_again() {
    let expected = content(3);
    for kind in 1..3 {
        let half = Object::new(expected.clone(), |_| SIZE_BYTES / 2);
        let answer = Answer::Then(
            Box::new(Answer::Object(half)),
            Box::new(Answer::Status(500)),
        );
        let server = Server::start(&[
            ("/bucket/x.bin", answer.clone()),
            ("/bucket/x%2Ebin", answer),
        ])
        .await;
        let (uri, sources) = &kinds(&server)[kind];
        let output = tempfile::tempdir().unwrap();
        let (outcome, _) = fetch(&logs(uri), sources, output.path()).await;
        assert_eq!((outcome.failed(), read(output.path())), (1, None));
        // It is up again.
        let object = Object::new(expected.clone(), whole);
        let server = serve_kinds(&object).await;
        let (uri, sources) = &kinds(&server)[kind];
        let (outcome, observer) = fetch(&logs(uri), sources, output.path()).await;
        assert_eq!(outcome.finished(), 1, "{uri}: {:?}", observer.failures);
        assert!(read(output.path()).unwrap() == expected);
        let sent = *object.sent.lock().unwrap();
        assert!(sent <= SIZE_BYTES * 3 / 4, "{uri}: {sent} bytes moved");
    }
}
