//! Decides what to fetch next, and when. Pure.

use std::time::Duration;

use docks_proto::routes::RunKind;

use super::budget::RequestClass;
use super::due_times::Jitter;
use super::fetch_key::FetchKey;
use super::list_polling::{ListPolling, list_polling};
use super::plan_input::{PlanInput, rescan_interval};
use super::poll_fairness;

/// Minimum time between two background fetches of the same trials.
const REFETCH_AFTER: Duration = Duration::from_secs(2);

/// One piece of background work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Poll a list.
    PollList(RunKind),
    /// Fetch an active run that no polled part of its list covers, or a run that just ended.
    FetchRun(RunKind, String),
    /// Fetch trials: of a watched run, for the first time, or once more after its end.
    FetchTrials(String),
    /// Continue a sweep.
    Sweep(RunKind),
}

impl Work {
    /// Returns the key of its requests.
    #[must_use]
    pub fn key(&self) -> FetchKey {
        match self {
            Work::PollList(kind) => FetchKey::List(*kind),
            Work::FetchRun(kind, id) => FetchKey::Run(*kind, id.clone()),
            Work::FetchTrials(run) => FetchKey::Trials(run.clone()),
            Work::Sweep(kind) => FetchKey::Sweep(*kind),
        }
    }
}

/// A piece of work and when it is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedWork {
    /// What to do.
    pub work: Work,
    /// Monotonic time; the past means now.
    pub due: Duration,
    /// Which part of the budget pays for it.
    pub class: RequestClass,
}

/// Returns everything there is to do, the most urgent kind first.
#[must_use]
pub fn plan(s: &PlanInput<'_>) -> Vec<PlannedWork> {
    let polling = RunKind::ALL.map(|kind| (kind, list_polling(s, kind)));
    let mut plan = Vec::new();
    for (kind, polling) in &polling {
        let due = s
            .due_times
            .due(&FetchKey::ListPart(*kind), polling.interval, polling.jitter);
        plan.push(PlannedWork {
            work: Work::PollList(*kind),
            due,
            class: RequestClass::Poll,
        });
    }
    plan_watched(s, &mut plan);
    plan_settling(s, &mut plan);
    for (kind, polling) in &polling {
        plan_uncovered(s, *kind, polling, &mut plan);
    }
    plan_sweeps(s, &mut plan);
    plan_backfill(s, &mut plan);
    plan
}

fn background(s: &PlanInput<'_>) -> RequestClass {
    if s.catching_up {
        RequestClass::CatchUp
    } else {
        RequestClass::Backfill
    }
}

fn plan_watched(s: &PlanInput<'_>, plan: &mut Vec<PlannedWork>) {
    let mut add = |run: String, due| {
        plan.push(PlannedWork {
            work: Work::FetchTrials(run),
            due,
            class: RequestClass::Poll,
        });
    };
    if s.properties.metered {
        if let Some((run, due)) = poll_fairness::next_trials(s) {
            add(run, due);
        }
        return;
    }
    for run in poll_fairness::watched_runs(s) {
        let key = FetchKey::Trials(run.to_owned());
        let due = s.due_times.due(&key, rescan_interval(s), Jitter::BOTH);
        add(run.to_owned(), due);
    }
}

fn plan_settling(s: &PlanInput<'_>, plan: &mut Vec<PlannedWork>) {
    for id in s.just_ended {
        let key = FetchKey::Run(RunKind::Evaluation, id.clone());
        plan.push(PlannedWork {
            due: s.due_times.get(&key).blocked_until,
            work: Work::FetchRun(RunKind::Evaluation, id.clone()),
            class: RequestClass::Poll,
        });
    }
}

/// Plans the active runs that the polled parts of the list do not show, or no longer show.
fn plan_uncovered(
    s: &PlanInput<'_>,
    kind: RunKind,
    polling: &ListPolling,
    plan: &mut Vec<PlannedWork>,
) {
    let parts = u32::try_from(polling.windows.len()).unwrap_or(u32::MAX);
    // By now every part was polled twice, so the list does not show the run.
    let listed = polling.interval * parts * 2 + Duration::from_secs(1);
    let active = || s.summary.active.iter().filter(|run| run.kind == kind);
    let deep = active()
        .filter(|run| run.newer_rows >= polling.depth)
        .count();
    let alone = if s.properties.metered {
        let shared = Duration::from_secs(15) * u32::try_from(deep).unwrap_or(u32::MAX);
        shared.max(s.options.active_interval)
    } else {
        rescan_interval(s)
    };
    for run in active() {
        let interval = if run.newer_rows < polling.depth {
            listed
        } else {
            alone
        };
        let key = FetchKey::Run(kind, run.id.clone());
        plan.push(PlannedWork {
            due: s.due_times.due(&key, interval, Jitter::LONGER),
            work: Work::FetchRun(kind, run.id.clone()),
            class: RequestClass::Poll,
        });
    }
}

fn plan_sweeps(s: &PlanInput<'_>, plan: &mut Vec<PlannedWork>) {
    // The list is not whole yet.
    if s.is_reading {
        return;
    }
    for (kind, wanted) in RunKind::ALL.into_iter().zip(s.sweeps) {
        // Both lists are polled first, so that a listing is useful at once.
        let both_polled = RunKind::ALL
            .iter()
            .map(|kind| s.due_times.get(&FetchKey::List(*kind)))
            .all(|entry| entry.began.is_some() || entry.failures > 0);
        if let Some(due) = wanted.filter(|_| both_polled) {
            let blocked = s.due_times.get(&FetchKey::Sweep(kind)).blocked_until;
            plan.push(PlannedWork {
                work: Work::Sweep(kind),
                due: due.max(blocked),
                class: background(s),
            });
        }
    }
}

fn plan_backfill(s: &PlanInput<'_>, plan: &mut Vec<PlannedWork>) {
    // What is being read is reported together with its trials.
    if !s.all_trials || s.is_reading {
        return;
    }
    let mut dues: Vec<_> = s.summary.trials_due.iter().collect();
    // Newest first, but failed ones after those never tried. The sort is stable.
    dues.sort_by_key(|due| s.due_times.get(&FetchKey::Trials(due.run.clone())).failures);
    for due in dues {
        // The run is fetched first: its change would make the trials due again.
        if s.just_ended.contains(&due.run) {
            continue;
        }
        let key = FetchKey::Trials(due.run.clone());
        // The pause matters only for a run whose trials stay due however often they are fetched, and what was
        // fetched before somebody asked for all trials is not what they asked for.
        let timing = s.due_times.get(&key);
        let was_before = s
            .all_trials_asked
            .is_some_and(|asked| timing.began < Some(asked));
        plan.push(PlannedWork {
            due: match was_before {
                true => timing.blocked_until,
                false => s.due_times.due(&key, REFETCH_AFTER, Jitter::LONGER),
            },
            work: Work::FetchTrials(due.run.clone()),
            class: background(s),
        });
    }
    for (run, (_, due)) in s.rechecks {
        let blocked = s
            .due_times
            .get(&FetchKey::Trials(run.clone()))
            .blocked_until;
        plan.push(PlannedWork {
            due: blocked.max(*due),
            work: Work::FetchTrials(run.clone()),
            class: background(s),
        });
    }
}
