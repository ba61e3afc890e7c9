//! The habits, faults and runs of a simulated remote.

use std::collections::BTreeMap;
use std::time::Duration;

/// How the remote serves lists.
#[derive(Debug, Clone, Copy)]
pub(super) struct Habits {
    pub(super) offset: bool,
    pub(super) cap: Option<usize>,
    pub(super) refuses_above: Option<u32>,
    /// Whether what it refuses is an answer that is larger than we accept, instead of an error.
    pub(super) sends_too_much: bool,
    pub(super) cursor: bool,
    pub(super) order: Order,
    pub(super) etag: bool,
    /// Whether pages say how many rows the list has, as those of a hub do.
    pub(super) counts: bool,
    /// A directory instead of a server: every list comes whole, and requests cost nothing.
    pub(super) files: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Newest,
    Oldest,
    Scattered,
}

impl Order {
    /// Returns what a list in this order is sorted by.
    pub(super) fn key(self, run: &Run) -> i64 {
        let made = run.made.cast_signed();
        match self {
            Order::Newest => -made,
            Order::Oldest => made,
            Order::Scattered => run.scatter().cast_signed(),
        }
    }
}

impl Habits {
    pub(super) const PLAIN: Habits = Habits {
        offset: true,
        cap: None,
        refuses_above: None,
        sends_too_much: false,
        cursor: false,
        order: Order::Newest,
        etag: false,
        counts: false,
        files: false,
    };

    pub(super) const FILES: Habits = Habits {
        files: true,
        ..Habits::PLAIN
    };

    /// All habits with which the whole list can be read.
    pub(super) fn all() -> Vec<Habits> {
        let mut habits = Vec::new();
        for order in [Order::Newest, Order::Oldest, Order::Scattered] {
            for etag in [false, true] {
                let plain = Habits {
                    order,
                    etag,
                    ..Habits::PLAIN
                };
                habits.extend([
                    plain,
                    Habits {
                        offset: false,
                        ..plain
                    },
                    Habits {
                        cap: Some(7),
                        ..plain
                    },
                    Habits {
                        refuses_above: Some(20),
                        ..plain
                    },
                    Habits {
                        refuses_above: Some(20),
                        sends_too_much: true,
                        ..plain
                    },
                    Habits {
                        cursor: true,
                        offset: false,
                        cap: Some(9),
                        ..plain
                    },
                ]);
            }
        }
        habits.push(Habits::FILES);
        habits
    }
}

/// What is wrong with the remote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    Outage,
    Error500,
    RateLimited(Option<u64>),
    Refused401,
    Empty,
    Lag,
    Flaky,
}

#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) id: String,
    pub(super) status: &'static str,
    pub(super) made: u64,
    /// Grows with each change.
    pub(super) version: u64,
    /// Its `updated_at`, in seconds after it was made. A remote may change a run without it.
    pub(super) updated: u64,
    pub(super) trials: BTreeMap<String, (&'static str, u64)>,
}

impl Fault {
    /// Whether the remote then answers with something else than what it has.
    pub(super) fn lies(self) -> bool {
        matches!(self, Fault::Empty | Fault::Lag)
    }
}

impl Run {
    pub(super) fn text(&self) -> String {
        let made = docks_proto::time::UnixMs(1_764_000_000_000 + 1_000 * self.made as i64);
        let changed = made.plus(Duration::from_secs(self.updated));
        format!(
            r#"{{"id":"{}","status":"{}","created_at":"{}","updated_at":"{}","version":{}}}"#,
            self.id,
            self.status,
            made.rfc3339(),
            changed.rfc3339(),
            self.version
        )
    }

    pub(super) fn trial_texts(&self) -> Vec<String> {
        let trial = |(id, (status, version)): (&String, &(&str, u64))| {
            format!(r#"{{"id":"{id}","status":"{status}","version":{version}}}"#)
        };
        self.trials.iter().map(trial).collect()
    }

    pub(super) fn scatter(&self) -> u64 {
        self.made.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 7
    }
}
