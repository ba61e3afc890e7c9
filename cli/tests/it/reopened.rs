//! A run that had ended and runs again without a newer time: a fresh answer shows the new state.

use crate::test_home::TestHome;
use crate::watch::FakeRun;

#[test]
fn a_fresh_answer_shows_what_was_reopened() {
    let fresh = [
        "runs eval-list --format json --fresh",
        "runs eval-list --format json --max-age 0s",
        "runs eval-get night --format json --fresh",
        "runs trials night --format json --fresh",
        "runs trial night t0 --format json --fresh",
    ];
    let synced = ["sync", "sync --full"];
    for line in fresh.iter().chain(&synced) {
        let night = FakeRun::new(1);
        night.run("completed");
        night.trial(0, "passed");
        let remote = night.start();
        let home = TestHome::with_remote(&remote);
        home.run("sync --full").expect_success();
        night.run("running");
        night.trial(0, "running");
        let said = home.run(line).expect_success();
        if fresh.contains(line) {
            assert!(said.contains(r#""status":"running""#), "{line}: {said}");
        }
        // From then on every read agrees, until the remote changes again. A command asks for one kind only;
        // `sync` asks for the lists, and `sync --full` for the trials, too.
        let mut stored = Vec::new();
        if line.contains("eval") || line.contains("sync") {
            stored.push("runs eval-get night --format json --offline");
        }
        if line.contains("trial") || *line == "sync --full" {
            stored.push("runs trials night --format json --offline");
        }
        for read in stored {
            let said = home.run(read).expect_success();
            assert!(
                said.contains(r#""status":"running""#),
                "{line}, {read}: {said}"
            );
        }
    }
}
