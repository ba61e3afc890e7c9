//! Starts what is due: actions first, then what callers wait for, then the plan.

use std::time::Duration;

use docks_proto::routes::RunKind;

use docksd_mirror::Summary;

use super::budget::RequestClass;
use super::circuit_breaker::State;
use super::clock::Now;
use super::fetch_key::FetchKey;
use super::list_poll::{ListPoll, PolledParts, Turn, WholeList};
use super::list_polling::list_polling;
use super::plan::{PlannedWork, Work, plan};
use super::plan_input::PlanInput;
use super::state::{EngineState, Reply, list_index};
use super::step::{Step, Task};
use super::sweep::Sweep;

/// Longest sleep of the engine, after which it notices anything unforeseen.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// Minimum time between two background requests just after an outage: at most three a second.
const SPREAD_GAP: Duration = Duration::from_millis(400);

/// Polls in a row that do not show what the remote has, after which only sweeps look for what is gone: this
/// remote's lists do not show all, or are in another order than it seems.
const MAX_POLLS_LACKING_ROWS: u32 = 3;

impl EngineState {
    /// Starts everything that is due.
    ///
    /// Reported changes are taken while nothing else is under way: an answer that was read before
    /// them but written afterwards would undo them.
    pub fn start_due(&mut self, now: Now) -> Vec<Step> {
        self.wake = now.mono + LONGEST_SLEEP;
        self.watched.prune(now.mono);
        self.due_times.prune(now.mono);
        let mut steps = Vec::new();
        self.start_actions(now, &mut steps);
        if self.summary.is_none() {
            return steps;
        }
        if !self.has_pending_changes() {
            self.start_requested(now, &mut steps);
            self.start_background(now, &mut steps);
        } else if self.changes_pending && self.running.is_empty() {
            self.changes_pending = false;
            self.taking_changes =
                Some(self.start_step(Task::TakeChanges, RequestClass::Poll, now, &mut steps));
        }
        if self.capabilities != self.stored_capabilities && !self.storing_capabilities {
            self.storing_capabilities = true;
            let note = self.capabilities.to_note();
            self.stored_capabilities = self.capabilities.clone();
            self.start_step(
                Task::StoreCapabilities { note },
                RequestClass::User,
                now,
                &mut steps,
            );
        }
        self.report_catch_ups();
        steps
    }

    /// Starts nothing, so that what is under way ends.
    pub(super) fn hold(&mut self, now: Now) {
        self.wake = now.mono + LONGEST_SLEEP;
    }

    fn start_step(
        &mut self,
        task: Task,
        class: RequestClass,
        now: Now,
        steps: &mut Vec<Step>,
    ) -> u64 {
        let number = self.next_step;
        self.next_step += 1;
        if let Some(key) = task.key() {
            self.flights.start(&key, now.mono);
        }
        self.running.insert(number, class);
        steps.push(Step {
            number,
            task,
            class,
            began: now,
        });
        number
    }

    fn start_actions(&mut self, now: Now, steps: &mut Vec<Step>) {
        while let Some((action, id, target, waiter)) = self.actions.pop_front() {
            // An action is never held back, but it counts.
            let _paid = self.budget.try_spend(RequestClass::User, now.mono);
            let number = self.start_step(
                Task::Act { action, id, target },
                RequestClass::User,
                now,
                steps,
            );
            self.action_waiters.insert(number, waiter);
        }
    }

    fn start_requested(&mut self, now: Now, steps: &mut Vec<Step>) {
        let mut ready = self.flights.ready(now.mono);
        // The simulations need an order, which a hash map lacks.
        ready.sort_by_key(|key| format!("{key:?}"));
        for key in ready {
            let quiet = self.circuit.quiet_until(now.mono).is_some();
            if let (true, Some(error)) = (quiet, self.rate_limit_error.clone()) {
                for waiter in self.flights.take_queued(&key) {
                    let reply = Reply::Confirmed(Err(error.clone()));
                    self.replies.push((waiter, reply));
                }
                continue;
            }
            let task = self.task_for(&key, true, now);
            match self.budget.try_spend(RequestClass::User, now.mono) {
                Ok(()) => {
                    self.pay_for_further_requests(&task, RequestClass::User, now);
                    self.start_step(task, RequestClass::User, now, steps);
                }
                Err(wait) => self.wake_by(now.mono + wait),
            }
        }
        if let Some(at) = self.flights.next_release(now.mono) {
            self.wake_by(at);
        }
    }

    /// Counts the requests of a task after its first one, which is what may have to wait.
    fn pay_for_further_requests(&mut self, task: &Task, class: RequestClass, now: Now) {
        for _ in 1..task.requests() {
            let _paid = self.budget.try_spend(class, now.mono);
        }
    }

    fn wake_by(&mut self, at: Duration) {
        self.wake = self.wake.min(at);
    }

    fn plan_input<'a>(&'a self, summary: &'a Summary, now: Now) -> PlanInput<'a> {
        PlanInput {
            now: now.mono,
            properties: self.properties,
            options: &self.options,
            capabilities: &self.capabilities,
            summary,
            watched: &self.watched,
            notifies_changes: self.notifies_changes,
            is_reading: self.is_reading,
            due_times: &self.due_times,
            just_ended: &self.just_ended,
            rechecks: &self.rechecks,
            sweeps: [self.lists[0].sweep_due, self.lists[1].sweep_due],
            catching_up: !self.catch_ups.is_empty(),
            all_trials: self.fetches_all_trials(),
            all_trials_asked: self.all_trials_asked(),
        }
    }

    /// Returns the plan as it stands.
    #[must_use]
    pub fn plan(&self, now: Now) -> Vec<PlannedWork> {
        self.summary
            .as_ref()
            .map(|summary| plan(&self.plan_input(summary, now)))
            .unwrap_or_default()
    }

    fn start_background(&mut self, now: Now, steps: &mut Vec<Step>) {
        let planned = self.plan(now);
        self.backlog = planned.iter().filter(|p| p.due <= now.mono).count() as u64;
        if let Some(summary) = self.summary.as_ref().filter(|_| self.fetches_all_trials()) {
            let shown = summary.trials_due.len() as u64;
            self.backlog += summary.trials_due_total.saturating_sub(shown);
        }
        let open_until = self.circuit.background_from();
        self.planned = planned.iter().min_by_key(|p| p.due).map(|p| {
            let at = p.due.max(now.mono).max(open_until.unwrap_or(now.mono));
            (at, describe(&p.work))
        });
        let Some(from) = open_until else {
            return;
        };
        if from > now.mono {
            self.wake_by(from);
            return;
        }
        let probing = self.circuit.state() != State::Closed;
        let planned = if probing { self.probes(now) } else { planned };
        let mut room = self.room();
        let mut exhausted: [bool; 2] = [false, false];
        for item in planned {
            if item.due > now.mono {
                self.wake_by(item.due);
                continue;
            }
            let bulk = matches!(item.class, RequestClass::Backfill | RequestClass::CatchUp);
            let key = item.work.key();
            let busy = self.flights.in_flight(&key)
                || matches!(item.work, Work::PollList(kind) if self.flights.in_flight(&FetchKey::ListPart(kind)));
            if room == 0 || busy || exhausted[usize::from(bulk)] {
                continue;
            }
            if now.mono < self.spread_until && now.mono < self.last_background + SPREAD_GAP {
                self.wake_by(self.last_background + SPREAD_GAP);
                return;
            }
            let Some(task) = self.task_of(&item.work, now) else {
                continue;
            };
            if task.requests() > 0
                && let Err(wait) = self.budget.try_spend(item.class, now.mono)
            {
                self.wake_by(now.mono + wait);
                exhausted[usize::from(bulk)] = true;
                continue;
            }
            self.pay_for_further_requests(&task, item.class, now);
            self.last_background = now.mono;
            self.start_step(task, item.class, now, steps);
            room -= 1;
            if probing {
                self.circuit.start_probe();
                return;
            }
        }
    }

    /// Returns the probe that finds out whether the remote is back: a poll of the list that failed
    /// least.
    fn probes(&self, now: Now) -> Vec<PlannedWork> {
        let failures = |kind: &RunKind| self.due_times.get(&FetchKey::List(*kind)).failures;
        RunKind::ALL
            .iter()
            .min_by_key(|kind| failures(kind))
            .map(|kind| PlannedWork {
                work: Work::PollList(*kind),
                due: now.mono,
                class: RequestClass::Poll,
            })
            .into_iter()
            .collect()
    }

    fn room(&self) -> usize {
        let background = self
            .running
            .values()
            .filter(|class| **class != RequestClass::User)
            .count();
        let most = if self.catch_ups.is_empty() {
            self.options.concurrency
        } else {
            self.options.concurrency * 2
        };
        most.saturating_sub(background)
    }

    /// Returns the task that the background work consists of now.
    fn task_of(&mut self, work: &Work, now: Now) -> Option<Task> {
        let Work::Sweep(kind) = work else {
            return Some(self.task_for(&work.key(), false, now));
        };
        let whole_lists = self.properties.whole_lists;
        let list = &mut self.lists[list_index(*kind)];
        let known = self.capabilities.list_mut(*kind);
        let sweep = list
            .sweep
            .get_or_insert_with(|| Sweep::new(*kind, known, whole_lists, now.stamp));
        // A poll under way would confirm the whole list with an older answer after this step.
        let polls = [FetchKey::List(*kind), FetchKey::ListPart(*kind)];
        if sweep.is_finishing() && polls.iter().any(|key| self.flights.in_flight(key)) {
            return None;
        }
        Some(sweep.next_task(list.confirmed))
    }

    fn task_for(&mut self, key: &FetchKey, for_user: bool, now: Now) -> Task {
        match key {
            FetchKey::List(kind) | FetchKey::ListPart(kind) | FetchKey::Sweep(kind) => {
                self.poll_task(*kind, for_user, now)
            }
            FetchKey::WholeList(kind) => {
                let rows = self.stored_rows(*kind);
                let whole = WholeList::new(self.capabilities.list(*kind), rows);
                self.list_poll(*kind, PolledParts::Whole(Box::new(whole)))
            }
            FetchKey::Run(kind, id) => Task::FetchRun {
                kind: *kind,
                id: id.clone(),
            },
            FetchKey::Trials(run) => Task::FetchTrials {
                run: run.clone(),
                believes_empty: self.due_times.get(key).doubted,
            },
            FetchKey::Trial { run, trial } => Task::FetchTrial {
                run: run.clone(),
                trial: trial.clone(),
            },
        }
    }

    /// Returns the poll of a list: of all parts at once while somebody waits for it, and otherwise of the part
    /// whose turn it is.
    fn poll_task(&mut self, kind: RunKind, for_user: bool, now: Now) -> Task {
        let summary = self.summary.clone().unwrap_or_default();
        let windows = list_polling(&self.plan_input(&summary, now), kind).windows;
        let list = &mut self.lists[list_index(kind)];
        let parts = if for_user || windows.len() == 1 || !self.catch_ups.is_empty() {
            PolledParts::All(windows)
        } else {
            let number = list.next_part % windows.len();
            list.next_part = number + 1;
            let round = list.round.take();
            let round = round.filter(|round| round.continues_with(number, &windows));
            PolledParts::One(Turn {
                number,
                windows,
                round,
            })
        };
        self.list_poll(kind, parts)
    }

    /// Returns the number of rows of a list that the mirror had last.
    fn stored_rows(&self, kind: RunKind) -> u64 {
        let lists = self.summary.iter().flat_map(|summary| &summary.lists);
        lists
            .filter(|list| list.kind == kind)
            .map(|list| list.rows)
            .sum()
    }

    fn list_poll(&self, kind: RunKind, parts: PolledParts) -> Task {
        let list = &self.lists[list_index(kind)];
        let checks_unlisted = match &parts {
            PolledParts::Whole(_) => true,
            PolledParts::All(_) | PolledParts::One(_) => {
                list.complete
                    && list.polls_lacking_rows < MAX_POLLS_LACKING_ROWS
                    && (parts.include_first() || parts.completes().is_some())
            }
        };
        let mut poll = ListPoll {
            kind,
            complete: list.complete,
            checks_unlisted,
            doubts_empty: !list.doubted_empty && self.stored_rows(kind) > 0,
            parts,
            cached: None,
        };
        if let Some(page) = poll.only_page() {
            let cached = list.cached_page.clone();
            poll.cached = cached.filter(|cached| cached.page == page);
        }
        Task::PollList(poll)
    }
}

fn describe(work: &Work) -> String {
    match work {
        Work::PollList(kind) => format!("list of {}s", super::step::noun(*kind)),
        Work::FetchRun(kind, id) => format!("{} {id}", super::step::noun(*kind)),
        Work::FetchTrials(run) => format!("trials of {run}"),
        Work::Sweep(kind) => format!("all {}s", super::step::noun(*kind)),
    }
}
