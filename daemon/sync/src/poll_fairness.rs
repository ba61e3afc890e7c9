//! How polling shares what a remote may be asked per minute, however many watch.
//!
//! The list in which something is active comes first: one request in an
//! [`active_interval`](super::plan::Options) keeps all its runs within 6 s. What is left goes, in turn, to
//! the trials of runs that somebody watches, and to the list in which nothing is active. With 100
//! active runs all of this is 12 requests a minute; with few there is room for more.

use std::time::Duration;

use docks_proto::routes::RunKind;

use super::due_times::Jitter;
use super::plan::Situation;
use super::task::FetchKey;

/// Active runs from which on nothing is spent beyond 12 requests a minute.
const MANY: usize = 100;
/// How much slower than an active list everything else is polled then: 10.7 requests a minute
/// are the list's, 1.0 those of trials, and 0.2 those of the idle list.
const SLOWEST: f64 = 11.0;
/// Turns of trials for one of a list in which nothing is active.
const TURNS: u32 = 5;

/// Returns by how much what is not an active list is slowed: 1 while few runs are active.
fn crowd(s: &Situation<'_>) -> f64 {
    (s.summary.active.len() as f64 / MANY as f64 * SLOWEST).clamp(1.0, SLOWEST)
}

/// Returns the evaluation runs at work whose trials somebody watches.
pub(super) fn watched<'a>(s: &'a Situation<'_>) -> impl Iterator<Item = &'a str> {
    let evaluations = s
        .summary
        .active
        .iter()
        .filter(|run| run.kind == RunKind::Evaluation);
    let ids = evaluations.map(|run| run.id.as_str());
    ids.filter(|id| s.interest.in_trials(id, s.now))
}

/// Returns how often a list with active runs is polled.
pub(super) fn busy_list(s: &Situation<'_>, kind: RunKind) -> Duration {
    let interval = s.options.active_interval;
    let other = RunKind::ALL.into_iter().find(|other| *other != kind);
    let busy = |kind| s.summary.active.iter().any(|run| run.kind == kind);
    let Some(other) = other.filter(|other| busy(*other)) else {
        return interval;
    };
    // Two busy lists share what one may cost.
    let looks = [kind, other].map(|kind| s.interest.in_kind(kind, s.now));
    match (looks, crowd(s) > 1.0) {
        ([true, _], false) => interval,
        ([true, false], true) => interval.mul_f64(1.5),
        ([false, true], true) => interval * 3,
        _ => interval * 2,
    }
}

/// Returns how often a list is polled in which nothing is active.
pub(super) fn idle_list(s: &Situation<'_>, kind: RunKind) -> Duration {
    let crowd = crowd(s);
    let mut interval = s.options.idle_interval;
    if s.interest.in_kind(kind, s.now) {
        interval = interval.min(s.options.watched_interval.mul_f64(crowd));
    }
    if crowd >= SLOWEST && watched(s).next().is_some() {
        interval = interval.max(turn(s) * TURNS);
    }
    interval
}

/// Returns the time between two fetches of trials, whosever they are.
fn turn(s: &Situation<'_>) -> Duration {
    s.options.active_interval.mul_f64(crowd(s))
}

/// Returns the watched run whose trials are next, and when.
pub(super) fn next_trials(s: &Situation<'_>) -> Option<(String, Duration)> {
    let entry = |id: &str| s.schedule.get(&FetchKey::Trials(id.to_owned()));
    let entries: Vec<_> = watched(s).map(|id| (id, entry(id))).collect();
    let last = entries.iter().max_by_key(|(_, entry)| entry.began);
    let due = last.map_or(Duration::ZERO, |(_, last)| {
        last.after(turn(s), Jitter::BOTH)
    });
    // One that fails lets the others pass.
    let (id, next) = entries.iter().min_by_key(|(id, entry)| {
        let since = entry.blocked_until.max(entry.began.unwrap_or_default());
        (entry.blocked_until > s.now, since, *id)
    })?;
    Some(((*id).to_owned(), due.max(next.blocked_until)))
}
