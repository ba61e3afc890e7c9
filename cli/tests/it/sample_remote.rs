//! A Docks API with sample data: thirty runs and evaluation runs, three trials of each.

use crate::remote::{Remote, query_number};

/// Number of runs, and of evaluation runs.
pub(crate) const RUNS: usize = 30;

/// Returns a run's id; ids of runs 0 to 9 share a beginning.
pub(crate) fn run_id(index: usize) -> String {
    format!("run-{index:02}x")
}

/// Returns all ids, newest first, as `-q` prints them.
pub(crate) fn run_ids() -> String {
    (0..RUNS).map(|index| run_id(index) + "\n").collect()
}

fn run(index: usize, name: &str) -> String {
    let status = if index.is_multiple_of(3) {
        "failed"
    } else {
        "completed"
    };
    let day = RUNS - index;
    format!(
        r#"{{"id":"{}","name":"{name}{index}","status":"{status}","created_at":"2026-01-{day:02}T00:00:00Z"}}"#,
        run_id(index)
    )
}

fn trial(index: usize) -> String {
    format!(r#"{{"id":"trial-{index}","task_slug":"task","status":"passed"}}"#)
}

fn list(items: impl Iterator<Item = String>) -> (u16, String) {
    let items: Vec<_> = items.collect();
    (200, format!("[{}]", items.join(",")))
}

/// Starts the remote.
pub(crate) fn start() -> Remote {
    Remote::start(answer)
}

/// Answers one request.
pub(crate) fn answer(asked: &str) -> (u16, String) {
    let (method, target) = asked.split_once(' ').unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let segments: Vec<&str> = path
        .trim_start_matches("/tenants/ten/")
        .split('/')
        .collect();
    let known = |id: &str| (0..RUNS).find(|&index| run_id(index) == id);
    let number = |name: &str, usual| query_number(query, name, usual);
    let page = |name: &'static str| {
        let indices = (0..RUNS)
            .skip(number("offset", 0))
            .take(number("limit", 50));
        list(indices.map(move |index| run(index, name)))
    };
    let one = |id: &str, name: &str| match known(id) {
        Some(index) => (200, run(index, name)),
        None => (404, r#"{"detail":"Run not found"}"#.to_owned()),
    };
    let ended = |id: &str| match known(id) {
        Some(_) => (409, r#"{"detail":"Run has ended"}"#.to_owned()),
        None => (404, r#"{"detail":"Run not found"}"#.to_owned()),
    };
    match (method, segments.as_slice()) {
        ("GET", ["runs"]) => page("plain"),
        ("GET", ["runs", id]) => one(id, "plain"),
        ("GET", ["harbor", "runs"]) => page("nightly"),
        ("GET", ["harbor", "runs", id]) => one(id, "nightly"),
        ("GET", ["harbor", "runs", id, "trials"]) if known(id).is_some() => list((0..3).map(trial)),
        ("GET", ["harbor", "runs", id, "trials", given]) if known(id).is_some() => {
            match (0..3).find(|index| format!("trial-{index}") == *given) {
                Some(index) => (200, trial(index)),
                None => (404, r#"{"detail":"Trial not found"}"#.to_owned()),
            }
        }
        ("POST", ["runs", id, "stop"]) => ended(id),
        ("POST", ["harbor", "runs", id, "start" | "cancel"]) => ended(id),
        _ => (404, r#"{"detail":"Not Found"}"#.to_owned()),
    }
}
