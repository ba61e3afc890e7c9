//! Many commands at once in a home without a daemon: each gets the right answer, and one daemon serves.

use std::fs;
use std::process::Command;

use crate::sample_remote::{self, run_ids};
use crate::test_home::{TestHome, eventually, wait_for_all};

/// Commands that start at once.
const AT_ONCE: usize = 50;

/// Rounds with each kind of remote in a usual test run; `DOCKS_START_ROUNDS` sets another number.
const ROUNDS: usize = 1;

/// Returns how many daemons of a home have served, as its log says.
fn daemons_that_served(home: &TestHome) -> usize {
    let entries = fs::read_dir(home.path("docks/log")).unwrap();
    // A link names the latest file.
    let files = entries
        .map(Result::unwrap)
        .filter(|entry| entry.file_type().unwrap().is_file());
    let texts = files.map(|file| fs::read_to_string(file.path()).unwrap());
    let counts = texts.map(|text| text.matches("docksd is ready").count());
    counts.sum()
}

/// Starts fifty commands at once in a home without a daemon, and checks their answers.
fn fifty_at_once(round: usize, home: &TestHome, command: impl Fn() -> Command, answer: &str) {
    let children = (0..AT_ONCE).map(|_| command().spawn().unwrap());
    for ended in wait_for_all(children.collect()) {
        // On a busy machine the daemon may be silent for a second; then a Docks API can be asked instead.
        let was_silent = ended
            .stderr
            .ends_with("does not answer; asking the remote directly\n");
        assert!(
            ended.stderr.is_empty() || (was_silent && !home.jobs().exists()),
            "round {round}: {}",
            ended.stderr
        );
        assert_eq!(ended.expect_success(), answer, "round {round}");
    }
    eventually("one docksd is left", || home.daemons().len() == 1);
    assert_eq!(home.daemons(), [home.pid()], "round {round}");
    home.stop();
    // What has ended has written its whole log.
    assert_eq!(daemons_that_served(home), 1, "round {round}");
}

#[test]
fn fifty_commands_at_once_give_fifty_right_answers_and_one_daemon() {
    let asked = std::env::var("DOCKS_START_ROUNDS");
    let rounds = asked.map_or(ROUNDS, |text| text.parse().unwrap());
    let remote = sample_remote::start();
    let jobs = "killed-midway\ninterrupted-midway\nnightly-mixed\n2026-11-23__16-43-17\n";
    for round in 0..rounds {
        let home = TestHome::with_jobs();
        let command = || home.command_jobs("runs eval-list --columns name");
        fifty_at_once(round, &home, command, jobs);
        let home = TestHome::with_remote(&remote);
        let command = || home.command("runs list -n 0 -q");
        fifty_at_once(round, &home, command, &run_ids());
    }
    println!("{rounds} rounds of {AT_ONCE} with each kind of remote");
}
