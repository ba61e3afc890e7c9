//! How polling shares the requests of a minute, however many readers watch.
//!
//! A list with active runs comes first: one request per
//! [`active_interval`](super::options::Options) keeps all its runs at most 6 s old. What is left
//! goes in turn to the trials of watched runs and to the list without active runs. With 100
//! active runs all of this is 12 requests a minute; with fewer there is room for more.

use std::time::Duration;

use docks_proto::routes::RunKind;

use super::due_times::Jitter;
use super::fetch_key::FetchKey;
use super::plan_input::PlanInput;

/// Number of active runs from which polling keeps to 12 requests a minute.
const MANY: usize = 100;
/// How much slower than an active list everything else is polled then: 10.7 requests a minute
/// for the list, 1.0 for trials, and 0.2 for the idle list.
const SLOWEST: f64 = 11.0;
/// Fetches of trials for each poll of a list without active runs.
const TRIALS_PER_POLL: u32 = 5;

/// Returns the factor by which everything but active lists is slowed: 1 while few runs are active.
fn slowdown(s: &PlanInput<'_>) -> f64 {
    (s.summary.active.len() as f64 / MANY as f64 * SLOWEST).clamp(1.0, SLOWEST)
}

/// Returns the ids of active evaluation runs whose trials are watched.
pub(super) fn watched_runs<'a>(s: &'a PlanInput<'_>) -> impl Iterator<Item = &'a str> {
    let evaluations = s
        .summary
        .active
        .iter()
        .filter(|run| run.kind == RunKind::Evaluation);
    let ids = evaluations.map(|run| run.id.as_str());
    ids.filter(|id| s.watched.are_trials_watched(id, s.now))
}

/// Returns how often a list with active runs is polled.
pub(super) fn active_list_interval(s: &PlanInput<'_>, kind: RunKind) -> Duration {
    let interval = s.options.active_interval;
    let other = RunKind::ALL.into_iter().find(|other| *other != kind);
    let is_active = |kind| s.summary.active.iter().any(|run| run.kind == kind);
    let Some(other) = other.filter(|other| is_active(*other)) else {
        return interval;
    };
    // Two active lists share the requests of one.
    let watched = [kind, other].map(|kind| s.watched.is_kind_watched(kind, s.now));
    match (watched, slowdown(s) > 1.0) {
        ([true, _], false) => interval,
        ([true, false], true) => interval.mul_f64(1.5),
        ([false, true], true) => interval * 3,
        _ => interval * 2,
    }
}

/// Returns how often a list without active runs is polled.
pub(super) fn idle_list_interval(s: &PlanInput<'_>, kind: RunKind) -> Duration {
    let slowdown = slowdown(s);
    let mut interval = s.options.idle_interval;
    if s.watched.is_kind_watched(kind, s.now) {
        interval = interval.min(s.options.watched_interval.mul_f64(slowdown));
    }
    if slowdown >= SLOWEST && watched_runs(s).next().is_some() {
        interval = interval.max(trials_interval(s) * TRIALS_PER_POLL);
    }
    interval
}

/// Returns the time between two fetches of the trials of any runs.
fn trials_interval(s: &PlanInput<'_>) -> Duration {
    s.options.active_interval.mul_f64(slowdown(s))
}

/// Returns the watched run whose trials are next, and when.
pub(super) fn next_trials(s: &PlanInput<'_>) -> Option<(String, Duration)> {
    let entry = |id: &str| s.due_times.get(&FetchKey::Trials(id.to_owned()));
    let entries: Vec<_> = watched_runs(s).map(|id| (id, entry(id))).collect();
    let last = entries.iter().max_by_key(|(_, entry)| entry.began);
    let due = last.map_or(Duration::ZERO, |(_, last)| {
        last.after(trials_interval(s), Jitter::BOTH)
    });
    // A run whose trials fail lets the others go first.
    let (id, next) = entries.iter().min_by_key(|(id, entry)| {
        let since = entry.blocked_until.max(entry.began.unwrap_or_default());
        (entry.blocked_until > s.now, since, *id)
    })?;
    Some(((*id).to_owned(), due.max(next.blocked_until)))
}
