//! What happens at a remote by chance.

use std::collections::BTreeMap;

use docks_proto::object::{Lifecycle, lifecycle};

use super::remote_habits::{Fault, Run};
use super::simulated_remote::World;

/// Runs of a list from which on few are added. Most lists are then read by one request.
const MANY: usize = 12;

pub(super) struct History {
    pub(super) rng: fastrand::Rng,
    made: u64,
    /// Deleted runs, which may return, by list.
    deleted: [Vec<Run>; 2],
    /// Whether the remote may show something else than what it has.
    pub(super) lies: bool,
}

pub(super) fn has_ended(run: &Run) -> bool {
    lifecycle(run.status) == Lifecycle::Terminal
}

impl History {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            rng: fastrand::Rng::with_seed(seed),
            made: 0,
            deleted: [Vec::new(), Vec::new()],
            lies: true,
        }
    }

    pub(super) fn change(&mut self, world: &mut World) {
        let lags = world.fault == Fault::Lag;
        if !lags {
            world.before = world.runs.clone();
        }
        for _ in 0..self.rng.usize(1..4) {
            self.change_once(&mut world.runs);
        }
    }

    fn change_once(&mut self, runs: &mut [Vec<Run>; 2]) {
        let which = self.rng.usize(..2);
        let list = &mut runs[which];
        let pick = self.rng.usize(..list.len().max(1));
        match self.rng.u8(..12) {
            0..4 if list.len() < MANY || self.rng.u8(..8) == 0 => {
                self.made += 1;
                let trials = (0..self.rng.usize(..4))
                    .map(|n| (format!("t{n}"), ("pending", 0)))
                    .collect::<BTreeMap<_, _>>();
                list.push(Run {
                    id: format!("r{}", self.made),
                    status: "pending",
                    made: self.made,
                    version: 0,
                    updated: 0,
                    trials,
                });
            }
            4..9 if pick < list.len() && !has_ended(&list[pick]) => self.advance(&mut list[pick]),
            9 if pick < list.len() && has_ended(&list[pick]) => self.reopen(&mut list[pick]),
            10 if pick < list.len() && self.rng.bool() => {
                self.deleted[which].push(list.remove(pick));
            }
            11 if !self.deleted[which].is_empty() => {
                let index = self.rng.usize(..self.deleted[which].len());
                let mut run = self.deleted[which].swap_remove(index);
                // As it was, as a run that has gone on, or as one that has started again.
                match self.rng.u8(..3) {
                    0 => {}
                    1 if !has_ended(&run) => self.advance(&mut run),
                    _ => self.reopen(&mut run),
                }
                run.version += 1;
                let at = list.partition_point(|other| other.made < run.made);
                list.insert(at, run);
            }
            _ => {}
        }
    }

    fn advance(&mut self, run: &mut Run) {
        let statuses = ["running", "running", "completed", "failed"];
        run.version += 1;
        run.updated += 1;
        run.status = self.rng.choice(statuses).expect("there are some");
        let ended = has_ended(run);
        for (status, version) in run.trials.values_mut() {
            if ended || (*status != "passed" && self.rng.bool()) {
                *version += u64::from(*status != "passed");
                *status = if ended { "passed" } else { "running" };
            }
        }
    }

    /// Starts a run again, which remotes show with newer times or without.
    fn reopen(&mut self, run: &mut Run) {
        run.version += 1;
        run.updated += u64::from(self.rng.bool());
        run.status = "running";
        for (status, version) in run.trials.values_mut() {
            if self.rng.bool() {
                *version += 1;
                *status = "running";
            }
        }
    }

    pub(super) fn fault(&mut self) -> Fault {
        let faults = [
            Fault::None,
            Fault::None,
            Fault::Outage,
            Fault::Error500,
            Fault::RateLimited(Some(3)),
            Fault::RateLimited(None),
            Fault::RateLimited(Some(u64::MAX / 4)),
            Fault::Refused401,
            Fault::Flaky,
            Fault::Empty,
            Fault::Lag,
        ];
        let honest = faults.iter().filter(|fault| !fault.lies()).count();
        let choice = if self.lies { faults.len() } else { honest };
        faults[self.rng.usize(..choice)]
    }
}
