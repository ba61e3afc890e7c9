//! Decides what to fetch next: pure, from what is known to what is due when.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use docks_proto::routes::RunKind;

use docksd_mirror::Summary;
use docksd_remote::RemoteProperties;

use super::budget::Class;
use super::capabilities::Capabilities;
use super::due_times::{Jitter, Schedule};
use super::list_polling::{Round, round};
use super::poll_fairness;
use super::task::FetchKey;
use super::watched_resources::Interest;

/// Least time between two fetches of the same trials for the mirror's own sake.
const AGAIN: Duration = Duration::from_secs(2);

/// Settings of the engine.
#[derive(Debug, Clone)]
pub struct Options {
    /// Requests per minute, users' included.
    pub budget_per_minute: u32,
    /// Between two polls of a list with active runs. With the other list idle this makes
    /// 11.7 requests a minute, and a change is seen within 6 s.
    pub active_interval: Duration,
    /// The same for a list in which nothing is active.
    pub idle_interval: Duration,
    /// The same while somebody looks at it.
    pub watched_interval: Duration,
    /// A last sweep older than this is made up for at start.
    pub sweep_interval: Duration,
    /// Whether trials of ended runs are mirrored without being asked for.
    pub backfill: bool,
    /// Background steps at once.
    pub concurrency: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            budget_per_minute: 240,
            active_interval: Duration::from_millis(5_600),
            idle_interval: Duration::from_secs(60),
            watched_interval: Duration::from_secs(10),
            sweep_interval: Duration::from_secs(3_600),
            backfill: true,
            concurrency: 4,
        }
    }
}

/// Everything that a plan depends on.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// Monotonic time.
    pub now: Duration,
    /// What is fixed for the remote.
    pub traits: RemoteProperties,
    /// Settings.
    pub options: &'a Options,
    /// What was learned of the remote.
    pub facts: &'a Capabilities,
    /// What the mirror holds.
    pub summary: &'a Summary,
    /// Who is watching.
    pub interest: &'a Interest,
    /// Whether the remote tells what changes, so that polling is only the net below.
    pub followed: bool,
    /// What was asked when.
    pub schedule: &'a Schedule,
    /// Evaluation runs that just ended.
    pub settling: &'a HashSet<String>,
    /// Ended runs with open trials, and when to look again.
    pub rechecks: &'a HashMap<String, (u8, Duration)>,
    /// When a sweep of each list is wanted, in the order of [`RunKind::ALL`].
    pub sweeps: [Option<Duration>; 2],
    /// Whether somebody waits for the mirror to catch up.
    pub catching_up: bool,
    /// Whether trials of ended runs are brought though nobody looks at them.
    pub all_trials: bool,
}

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chore {
    /// Poll a list.
    Poll(RunKind),
    /// Ask for an active run that no polled part of its list covers, or for one that ended.
    Check(RunKind, String),
    /// Fetch trials: of a watched run, or for the first time, or once more at the end.
    Trials(String),
    /// Go on with a sweep.
    Sweep(RunKind),
}

impl Chore {
    /// Returns what it is about.
    #[must_use]
    pub fn want(&self) -> FetchKey {
        match self {
            Chore::Poll(kind) => FetchKey::List(*kind),
            Chore::Check(kind, id) => FetchKey::Run(*kind, id.clone()),
            Chore::Trials(run) => FetchKey::Trials(run.clone()),
            Chore::Sweep(kind) => FetchKey::Sweep(*kind),
        }
    }
}

/// A chore and its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// What.
    pub chore: Chore,
    /// When, monotonic; the past means now.
    pub due: Duration,
    /// On whose account.
    pub class: Class,
}

/// Returns everything that is to be done, the most urgent kind first.
#[must_use]
pub fn plan(s: &Situation<'_>) -> Vec<Planned> {
    let rounds = RunKind::ALL.map(|kind| (kind, round(s, kind)));
    let mut plan = Vec::new();
    for (kind, round) in &rounds {
        let due = s
            .schedule
            .due(&FetchKey::Window(*kind), round.interval, round.jitter);
        plan.push(Planned {
            chore: Chore::Poll(*kind),
            due,
            class: Class::Poll,
        });
    }
    plan_watched(s, &mut plan);
    plan_settling(s, &mut plan);
    for (kind, round) in &rounds {
        plan_uncovered(s, *kind, round, &mut plan);
    }
    plan_sweeps(s, &mut plan);
    plan_backfill(s, &mut plan);
    plan
}

fn background(s: &Situation<'_>) -> Class {
    if s.catching_up {
        Class::CatchUp
    } else {
        Class::Backfill
    }
}

/// Returns how often files are looked at where something is active.
pub(super) fn rescan(s: &Situation<'_>) -> Duration {
    Duration::from_secs(if s.followed { 5 } else { 1 })
}

fn plan_watched(s: &Situation<'_>, plan: &mut Vec<Planned>) {
    let mut put = |run: String, due| {
        plan.push(Planned {
            chore: Chore::Trials(run),
            due,
            class: Class::Poll,
        });
    };
    if s.traits.metered {
        if let Some((run, due)) = poll_fairness::next_trials(s) {
            put(run, due);
        }
        return;
    }
    for run in poll_fairness::watched(s) {
        let want = FetchKey::Trials(run.to_owned());
        let due = s.schedule.due(&want, rescan(s), Jitter::BOTH);
        put(run.to_owned(), due);
    }
}

fn plan_settling(s: &Situation<'_>, plan: &mut Vec<Planned>) {
    for id in s.settling {
        let want = FetchKey::Run(RunKind::Evaluation, id.clone());
        plan.push(Planned {
            due: s.schedule.get(&want).blocked_until,
            chore: Chore::Check(RunKind::Evaluation, id.clone()),
            class: Class::Poll,
        });
    }
}

/// Plans active runs that the polled parts of the list do not show, or no longer show.
fn plan_uncovered(s: &Situation<'_>, kind: RunKind, round: &Round, plan: &mut Vec<Planned>) {
    let parts = u32::try_from(round.windows.len()).unwrap_or(u32::MAX);
    // Every part had its turn, twice: the list does not show it.
    let listed = round.interval * parts * 2 + Duration::from_secs(1);
    let active = || s.summary.active.iter().filter(|run| run.kind == kind);
    let deep = active().filter(|run| run.newer_rows >= round.depth).count();
    let alone = if s.traits.metered {
        let shared = Duration::from_secs(15) * u32::try_from(deep).unwrap_or(u32::MAX);
        shared.max(s.options.active_interval)
    } else {
        rescan(s)
    };
    for run in active() {
        let interval = if run.newer_rows < round.depth {
            listed
        } else {
            alone
        };
        let want = FetchKey::Run(kind, run.id.clone());
        plan.push(Planned {
            due: s.schedule.due(&want, interval, Jitter::LONGER),
            chore: Chore::Check(kind, run.id.clone()),
            class: Class::Poll,
        });
    }
}

fn plan_sweeps(s: &Situation<'_>, plan: &mut Vec<Planned>) {
    for (kind, wanted) in RunKind::ALL.into_iter().zip(s.sweeps) {
        // The head of both lists comes first, so that a listing is useful at once.
        let both_known = RunKind::ALL
            .iter()
            .map(|kind| s.schedule.get(&FetchKey::List(*kind)))
            .all(|entry| entry.began.is_some() || entry.failures > 0);
        if let Some(due) = wanted.filter(|_| both_known) {
            let blocked = s.schedule.get(&FetchKey::Sweep(kind)).blocked_until;
            plan.push(Planned {
                chore: Chore::Sweep(kind),
                due: due.max(blocked),
                class: background(s),
            });
        }
    }
}

fn plan_backfill(s: &Situation<'_>, plan: &mut Vec<Planned>) {
    if !s.all_trials {
        return;
    }
    let mut dues: Vec<_> = s.summary.trials_due.iter().collect();
    // Newest first, but what failed comes after what was never tried. The sort is stable.
    dues.sort_by_key(|due| s.schedule.get(&FetchKey::Trials(due.run.clone())).failures);
    for due in dues {
        // The run itself comes first: its own change would make the trials due again.
        if s.settling.contains(&due.run) {
            continue;
        }
        let want = FetchKey::Trials(due.run.clone());
        // The pause matters only for a run whose trials stay due however often they come.
        plan.push(Planned {
            due: s.schedule.due(&want, AGAIN, Jitter::LONGER),
            chore: Chore::Trials(due.run.clone()),
            class: background(s),
        });
    }
    for (run, (_, due)) in s.rechecks {
        let blocked = s.schedule.get(&FetchKey::Trials(run.clone())).blocked_until;
        plan.push(Planned {
            due: blocked.max(*due),
            chore: Chore::Trials(run.clone()),
            class: background(s),
        });
    }
}
