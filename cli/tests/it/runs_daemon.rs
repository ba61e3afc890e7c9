//! The runs commands answered by a daemon: what is passed through, and the notes about it.

use crate::daemon::{FakeDaemon, FakeReply, status};
use crate::remote::Remote;
use crate::sealed::Sealed;

const STALE: &[(&str, &str)] = &[
    ("docks-total", "812"),
    ("docks-as-of", "2026-01-01T00:00:00.000Z"),
    ("docks-age-ms", "720000"),
    ("age", "720"),
    (
        "cache-status",
        "docksd; hit; detail=\"remote unreachable for 12 min\"",
    ),
];

fn empty_remote() -> Remote {
    Remote::start(|_| (200, "[]".to_owned()))
}

#[test]
fn a_daemons_list_is_passed_through_with_its_age_and_total() {
    let remote = empty_remote();
    let sealed = Sealed::new(&remote);
    let body = r#"[{"id":"r-1", "n":1.0,"status":"running"},{"id":"r-2","status":"failed"}]"#;
    let daemon = FakeDaemon::start(&sealed.socket(), move |_| {
        FakeReply::Answer(200, STALE.to_vec(), body.to_owned())
    });
    let ended = sealed.run_with_daemon("runs list --format json -n 2");
    assert_eq!(ended.code, Some(0));
    assert_eq!(ended.stdout, format!("{body}\n"));
    assert_eq!(
        ended.stderr,
        "2 of 812\nnote: data is 12m old: remote unreachable for 12 min\n"
    );
    let meta = sealed.run_with_daemon("runs list --meta").expect_success();
    assert_eq!(
        meta,
        format!(
            "{{\"schema_version\":1,\"as_of\":\"2026-01-01T00:00:00.000Z\",\"age_ms\":720000,\
             \"stale\":true,\"reason\":\"remote unreachable for 12 min\",\"source\":\"mirror\",\
             \"total\":812,\"data\":{body}}}\n"
        )
    );
    assert!(remote.requests().is_empty(), "the remote is left in peace");
    assert_eq!(daemon.requests().len(), 2, "one request each");
}

#[test]
fn verbose_shows_the_source_and_age_of_a_response() {
    let remote = Remote::start(|_| (200, "[]".to_owned()));
    let sealed = Sealed::new(&remote);
    let young: Vec<_> = STALE.iter().take(3).copied().collect();
    let _daemon = FakeDaemon::start(&sealed.socket(), move |_| {
        FakeReply::Answer(200, young.clone(), "[]".to_owned())
    });
    let said = |line: &str| sealed.run_with_daemon(line).stderr;
    let from_mirror = "from the mirror; the remote confirmed it 12m ago\n";
    assert!(said("runs list -v").ends_with(from_mirror));
    assert!(said("-v runs list --no-daemon").ends_with("from the remote\n"));
    assert_eq!(said("runs list -n 0"), "", "only with --verbose");
}

#[test]
fn bounds_and_filters_cross_the_socket() {
    let remote = empty_remote();
    let sealed = Sealed::new(&remote);
    let daemon = FakeDaemon::start(&sealed.socket(), |_| {
        FakeReply::Answer(200, Vec::new(), "[]".to_owned())
    });
    sealed
        .run_with_daemon("runs list --fresh -s failed,running --search a&b")
        .expect_success();
    sealed
        .run_with_daemon("runs eval-list --max-age 5m --sort -name -n 0")
        .expect_success();
    sealed
        .run_with_daemon("--offline runs trials e/1")
        .expect_success();
    sealed
        .run_with_daemon("runs trials --all-runs --agent a,b --error any --reward >=0.5 -n 5")
        .expect_success();
    let asked = daemon.requests();
    assert!(asked[3].starts_with(
        "GET /tenants/ten/harbor/trials?limit=5&agent=a&agent=b&error=any&reward=%3E%3D0%2E5\n"
    ));
    assert!(
        asked[0]
            .starts_with("GET /tenants/ten/runs?limit=20&status=failed&status=running&q=a%26b\n")
    );
    assert!(asked[0].contains("cache-control: no-cache"));
    assert!(asked[1].starts_with("GET /tenants/ten/harbor/runs?limit=0&sort=%2Dname\n"));
    assert!(asked[1].contains("cache-control: max-age=300"));
    assert!(asked[2].starts_with("GET /tenants/ten/harbor/runs/e%2F1/trials?limit=0\n"));
    assert!(asked[2].contains("cache-control: only-if-cached"));
}

#[test]
fn every_code_of_the_daemon_is_an_exit_code_with_nothing_on_stdout() {
    let table = [
        (404, "run_not_found", 3),
        (409, "ambiguous_id", 9),
        (401, "unauthorized", 4),
        (403, "forbidden", 4),
        (401, "not_signed_in", 4),
        (404, "unknown_profile", 3),
        (429, "rate_limited", 7),
        (504, "not_cached", 5),
        (504, "freshness_unmet", 6),
        (504, "remote_unreachable", 5),
        (502, "remote_broken", 5),
        (409, "unsupported", 1),
        (422, "invalid_request", 2),
        (500, "from_the_future", 1),
    ];
    for (http, code, exit) in table {
        let remote = empty_remote();
        let sealed = Sealed::new(&remote);
        let body = format!(r#"{{"detail":{{"code":"{code}","message":"It\u001b[2J failed."}}}}"#);
        let _daemon = FakeDaemon::start(&sealed.socket(), move |_| {
            FakeReply::Answer(http, Vec::new(), body.clone())
        });
        for line in ["runs get r-1", "runs list", "runs trials r-1 --format json"] {
            let ended = sealed.run_with_daemon(line);
            assert_eq!(ended.code, Some(exit), "{code}: {}", ended.stderr);
            assert_eq!(ended.stdout, "", "{code}");
            assert!(
                ended.stderr.contains("error: It failed."),
                "{}",
                ended.stderr
            );
        }
        assert!(
            remote.requests().is_empty(),
            "{code}: an answer is an answer"
        );
    }
}

#[test]
fn trouble_of_the_daemons_own_is_not_the_answer() {
    let remote = Remote::start(|_| (200, r#"[{"id":"r-9"}]"#.to_owned()));
    for code in ["mirror_unusable", "internal"] {
        let sealed = Sealed::new(&remote);
        let body = format!(r#"{{"detail":{{"code":"{code}","message":"The disk is full."}}}}"#);
        let _daemon = FakeDaemon::start(&sealed.socket(), move |_| {
            FakeReply::Answer(500, Vec::new(), body.clone())
        });
        let listed = sealed.run_with_daemon("runs list -q");
        assert_eq!((listed.code, &*listed.stdout), (Some(0), "r-9\n"));
        let note = "note: docksd is in trouble (The disk is full); asking the remote directly\n";
        assert_eq!(listed.stderr, note);
    }
}

#[test]
fn a_read_goes_on_to_the_remote_and_an_action_that_may_have_begun_does_not() {
    let remote = Remote::start(|asked| match asked.starts_with("POST") {
        true => (200, r#"{"id":"r-1","status":"cancelled"}"#.to_owned()),
        false => (200, r#"[{"id":"r-9"}]"#.to_owned()),
    });
    let sealed = Sealed::new(&remote);
    let _daemon = FakeDaemon::start(&sealed.socket(), |asked| {
        if asked.starts_with("GET /v1/ping") {
            status()
        } else {
            FakeReply::HangUp
        }
    });
    assert_eq!(
        sealed.run_with_daemon("runs list -q").expect_success(),
        "r-9\n"
    );
    let before = remote.requests().len();
    let ended = sealed.run_with_daemon("runs stop r-1 -f");
    assert_eq!(ended.code, Some(5), "{}", ended.stderr);
    assert_eq!(ended.stdout, "");
    assert_eq!(
        remote.requests().len(),
        before,
        "it may have been stopped already"
    );
}

#[test]
fn a_status_that_only_an_earlier_row_had_is_accepted() {
    let remote = empty_remote();
    let sealed = Sealed::new(&remote);
    let _daemon = FakeDaemon::start(&sealed.socket(), |asked| {
        let seen = if asked.contains("thawing") {
            "true"
        } else {
            "false"
        };
        let headers = vec![
            STALE[1],
            STALE[2],
            ("docks-total", "0"),
            ("docks-status-seen", seen),
        ];
        FakeReply::Answer(200, headers, "[]".to_owned())
    });
    let ended = sealed.run_with_daemon("runs list --status thawing");
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""));
    let ended = sealed.run_with_daemon("runs list --status frozen");
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("unknown status `frozen`"));
}
