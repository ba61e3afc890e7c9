//! Every exit code by command and condition, with real programs.

use crate::remote::Remote;
use crate::sample_remote;
use crate::test_home::TestHome;

type Table = &'static [(&'static str, i32)];

/// Fails with every command whose exit code is different.
fn check(home: &TestHome, condition: &str, table: Table) -> usize {
    let mut wrong = Vec::new();
    for (line, code) in table {
        let ended = home.run(line);
        if ended.code != Some(*code) {
            wrong.push(format!(
                "{line}: {:?}, not {code}: {}",
                ended.code, ended.stderr
            ));
        }
        let failed = ended.code != Some(0);
        let said = ended.stderr.lines().any(|line| line.starts_with("error: "));
        if failed && !said {
            wrong.push(format!("{line}: fails without an error message"));
        }
        let own = line.starts_with("auth") || line.starts_with("config");
        if failed && !own && !ended.stdout.is_empty() {
            wrong.push(format!("{line}: fails, yet prints {}", ended.stdout));
        }
    }
    assert!(wrong.is_empty(), "{condition}:\n{}", wrong.join("\n"));
    table.len()
}

const NOTHING_SET_UP: Table = &[
    ("runs list", 4),
    ("runs get x", 4),
    ("runs eval-list --offline", 4),
    ("sync", 4),
    ("auth status", 4),
    ("config explain", 4),
    ("auth logout", 0),
    ("profile list", 0),
    ("profile use x", 3),
    ("profile remove x --force", 3),
    ("runs list -p x", 3),
    ("daemon status", 1),
    ("daemon logs", 1),
    ("daemon stop", 0),
    ("completions bash", 0),
    ("completions tcsh", 2),
    ("nonsense", 2),
    ("--harbor /nonexistent/jobs runs list", 3),
];

const WELL: Table = &[
    ("runs list", 0),
    ("runs list --fresh", 0),
    ("runs list --max-age 5m", 0),
    ("runs list --offline", 0),
    ("runs list --no-daemon", 0),
    ("runs eval-list -n 1 --meta", 0),
    ("runs get run-11", 0),
    ("runs get plain11", 0),
    ("runs get run-0", 9),
    ("runs get run-0 --no-daemon", 9),
    ("runs get nope", 3),
    ("runs get nope --no-daemon", 3),
    ("runs get ..", 2),
    ("runs eval-get nightly11", 0),
    ("runs eval-get nope", 3),
    ("runs trials nightly11", 0),
    ("runs trials nightly11 --no-daemon", 0),
    ("runs trials nope", 3),
    ("runs trials run-0", 9),
    ("runs trial nightly11 trial-1", 0),
    ("runs trial nightly11 nope", 3),
    ("runs trial nightly11 trial", 9),
    ("runs stop run-11x", 2),
    ("runs stop run-11x --force", 1),
    ("runs stop run-11x --force --no-daemon", 1),
    ("runs stop nope --force", 3),
    ("runs eval-start run-11x", 1),
    ("runs eval-cancel run-11x --force", 1),
    ("runs artifacts nope", 3),
    ("runs artifacts nightly11", 3),
    ("runs list -n -1", 2),
    ("runs list -n many", 2),
    ("runs list --status wierd", 2),
    ("runs list --sort nope", 2),
    ("runs list --columns nope", 2),
    ("runs list --since whenever", 2),
    ("runs list --format yaml", 2),
    ("runs list --meta --format tsv", 2),
    ("runs list --fresh --offline", 2),
    ("runs list --offline --no-daemon", 2),
    ("runs list --max-age soon", 2),
    ("auth status --harbor x -p y", 2),
    ("runs artifacts nightly11 --type nope", 2),
    ("auth login --token x", 2),
    ("sync", 0),
    ("sync --full", 0),
    ("sync --no-daemon", 2),
    ("daemon status", 0),
    ("daemon logs -n 1", 0),
    ("auth status", 0),
    ("config explain", 0),
];

const DOWN_AND_WARM: Table = &[
    ("runs list", 0),
    ("runs list --offline", 0),
    ("runs list --fresh", 6),
    ("runs get run-11x", 0),
    ("runs get run-11x --fresh", 6),
    ("runs trials run-11x --fresh", 6),
    ("runs stop run-11x --force", 5),
    ("runs list --no-daemon", 5),
    ("sync", 5),
    ("auth status", 5),
];

const DOWN_AND_COLD: Table = &[
    ("runs list", 5),
    ("runs list --offline", 5),
    ("runs eval-list", 5),
    ("runs get x", 5),
    ("runs trials x", 5),
    ("runs trial x y", 5),
    ("runs artifacts x", 5),
];

const REFUSED: Table = &[
    ("runs list", 4),
    ("runs list --no-daemon", 4),
    ("runs get x", 4),
    ("runs trials x", 4),
    ("runs stop x --force", 4),
    ("sync", 4),
    ("auth status", 4),
];

const LIMITED: Table = &[
    ("runs list", 7),
    ("runs list --no-daemon", 7),
    ("runs get x --no-daemon", 7),
];

const JOBS: Table = &[
    ("runs eval-list", 0),
    ("runs stop killed-midway --force", 1),
    ("runs stop killed-midway", 2),
    ("runs eval-start killed-midway", 1),
    ("runs list --no-daemon", 2),
    ("runs trials killed-midway --offline", 0),
    ("runs artifacts killed-midway --type diff", 3),
];

#[test]
fn every_command_exits_with_the_code_of_its_condition() {
    let mut pairs = check(&TestHome::new(), "nothing set up", NOTHING_SET_UP);

    let remote = sample_remote::start();
    let home = TestHome::with_remote(&remote);
    home.run("sync").expect_success();
    pairs += check(&home, "all is well", WELL);

    let down = remote_that_went();
    pairs += check(&down, "remote down, mirror warm", DOWN_AND_WARM);

    let cold = TestHome::new();
    cold.profile("http://127.0.0.1:9", "canary-token");
    pairs += check(&cold, "remote down, nothing cached", DOWN_AND_COLD);

    let refused = TestHome::new();
    refused.profile(&remote.url(), "another-token");
    pairs += check(&refused, "token refused", REFUSED);

    let limiting = Remote::start(|_| (429, r#"{"detail":"slow down"}"#.to_owned()));
    pairs += check(&TestHome::with_remote(&limiting), "rate limited", LIMITED);

    let jobs = TestHome::with_jobs();
    jobs.run(&format!(
        "profile add default --harbor {}",
        jobs.jobs().display()
    ))
    .expect_success();
    pairs += check(&jobs, "jobs directory", JOBS);
    assert!(pairs >= 60, "{pairs}");
}

/// A home with a complete mirror, whose remote is down from now on.
fn remote_that_went() -> TestHome {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    let gone = Arc::new(AtomicBool::new(false));
    let asked_after = Arc::clone(&gone);
    let remote = Remote::start(move |asked| match asked_after.load(Ordering::SeqCst) {
        true => (503, r#"{"detail":"down"}"#.to_owned()),
        false => sample_remote::answer(asked),
    });
    let home = TestHome::with_remote(&remote);
    home.run("sync --full").expect_success();
    gone.store(true, Ordering::SeqCst);
    home
}
