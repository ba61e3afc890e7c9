//! Reading what is mirrored costs the remote nothing.

use std::time::{Duration, Instant};

use crate::remote::Remote;
use crate::test_home::TestHome;

/// How often each command runs, so that one that asks is told apart from the daemon's own polls.
const TIMES: usize = 10;

/// Least time between two polls of a list that is being read.
const POLL_INTERVAL: Duration = Duration::from_secs(8);

fn object(id: &str) -> String {
    format!(
        r#"{{"id":"{id}","name":"n-{id}","status":"completed","created_at":"2026-01-01T00:00:00Z","rewards":{{"reward":1.0}}}}"#
    )
}

/// A remote with plain runs and evaluation runs that all have ended, and share no id.
fn remote() -> Remote {
    Remote::start(|asked| {
        let (path, query) = asked.split_once('?').unwrap_or((asked, ""));
        let offset = query
            .split('&')
            .find_map(|pair| pair.strip_prefix("offset="))
            .map_or(0, |text| text.parse().unwrap());
        let list = |ids: &[&str]| {
            let shown = ids.iter().skip(offset).map(|id| object(id));
            (200, format!("[{}]", shown.collect::<Vec<_>>().join(",")))
        };
        let unknown = || (404, r#"{"detail":"not found"}"#.to_owned());
        let Some(rest) = path.strip_prefix("GET /tenants/ten/") else {
            return unknown();
        };
        match rest.split('/').collect::<Vec<_>>().as_slice() {
            ["runs"] => list(&["plain-1", "plain-2"]),
            ["harbor", "runs"] => list(&["eval-1", "eval-2"]),
            ["runs", id] if id.starts_with("plain-") => (200, object(id)),
            ["harbor", "runs", id] if id.starts_with("eval-") => (200, object(id)),
            ["harbor", "runs", id, "trials"] if id.starts_with("eval-") => list(&["t-1", "t-2"]),
            ["harbor", "runs", _, "trials", trial] => (200, object(trial)),
            _ => unknown(),
        }
    })
}

#[test]
fn each_read_command_is_answered_from_the_mirror() {
    let remote = remote();
    let home = TestHome::with_remote(&remote);
    home.run("sync --full").expect_success();
    let commands = [
        "runs list",
        "runs list --status completed",
        "runs get plain-1",
        "runs get n-plain-2",
        "runs eval-list",
        "runs eval-get eval-1",
        "runs trials eval-1",
        "runs trial eval-1 t-1",
        "runs history plain-1",
        "runs history n-plain-1",
        "runs history eval-1",
        "runs history eval-1 t-1",
        "runs changes",
        "runs watch plain-1",
        "runs watch n-plain-2",
        "runs watch eval-1",
        "runs compare eval-1 eval-2",
        "runs failures eval-1 eval-2",
        "runs failures --all-runs",
    ];
    let mut figures = String::new();
    for command in commands {
        home.run(command).expect_success();
        remote.take_requests();
        let begun = Instant::now();
        for _ in 0..TIMES {
            home.run(command).expect_success();
        }
        let requests = remote.take_requests();
        let is_list = |asked: &str| asked.contains("/runs?");
        let own: Vec<_> = requests
            .iter()
            .filter(|(asked, _)| !is_list(asked))
            .collect();
        figures.push_str(&format!(
            "{command}: {} requests in {TIMES} runs\n",
            requests.len()
        ));
        assert!(own.is_empty(), "{command} asked for {own:?}");
        let polls = 2 * (1 + begun.elapsed().as_secs() / POLL_INTERVAL.as_secs());
        assert!(
            requests.len() as u64 <= polls,
            "{command} asked for {requests:?}"
        );
    }
    // The figures for docs/performance.md.
    println!("{figures}");
}
