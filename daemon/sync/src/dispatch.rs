//! What begins: actions first, then what somebody waits for, then the plan.

use std::time::Duration;

use docks_proto::paging::PageRequest;
use docks_proto::routes::RunKind;

use docksd_mirror::Summary;

use super::budget::Class;
use super::circuit_breaker::State;
use super::clock::Now;
use super::list_polling::{Window, round};
use super::plan::{Chore, Planned, Situation, plan};
use super::state::{Core, Reply, index};
use super::sweep::Sweep;
use super::task::{FetchKey, Step, Task};

/// Longest sleep of the engine; something unforeseen is noticed after it.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// Least time between two background requests just after an outage: at most three a second.
const GENTLE_GAP: Duration = Duration::from_millis(400);

impl Core {
    /// Begins everything that is due.
    ///
    /// Changes is taken while nothing else is under way: an answer that was read before it, but is
    /// written after it, would take it back.
    pub fn due(&mut self, now: Now) -> Vec<Step> {
        self.wake = now.mono + LONGEST_SLEEP;
        self.interest.forget(now.mono);
        self.schedule.prune(now.mono);
        let mut steps = Vec::new();
        self.start_actions(now, &mut steps);
        if self.summary.is_none() {
            return steps;
        }
        if !self.owes_news() {
            self.start_wanted(now, &mut steps);
            self.start_background(now, &mut steps);
        } else if self.news && self.running.is_empty() {
            self.news = false;
            self.taking_news = Some(self.begin(Task::TakeChanges, Class::Poll, now, &mut steps));
        }
        if self.facts != self.facts_noted && !self.noting {
            self.noting = true;
            let capabilities = self.facts.to_note();
            self.facts_noted = self.facts.clone();
            self.begin(Task::Note { capabilities }, Class::User, now, &mut steps);
        }
        self.report_catch_ups();
        steps
    }

    fn begin(&mut self, task: Task, class: Class, now: Now, steps: &mut Vec<Step>) -> u64 {
        let number = self.next_step;
        self.next_step += 1;
        if let Some(want) = task.want() {
            self.flights.begin(&want, now.mono);
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
        while let Some((action, id, kill, waiter)) = self.actions.pop_front() {
            // A user's action is never held back; the log and the bucket still know of it.
            let _paid = self.budget.take(Class::User, now.mono);
            let number = self.begin(Task::Act { action, id, kill }, Class::User, now, steps);
            self.actors.insert(number, waiter);
        }
    }

    fn start_wanted(&mut self, now: Now, steps: &mut Vec<Step>) {
        let mut ready = self.flights.ready(now.mono);
        // A hash map has no order; the simulations need one.
        ready.sort_by_key(|want| format!("{want:?}"));
        for want in ready {
            let quiet = self.circuit.quiet_until(now.mono).is_some();
            if let (true, Some(error)) = (quiet, self.last_error.clone()) {
                for waiter in self.flights.refuse_waiting(&want) {
                    let reply = Reply::Confirmed(Err(error.clone()));
                    self.replies.push((waiter, reply));
                }
                continue;
            }
            let task = self.task_for(&want, true, now);
            match self.budget.take(Class::User, now.mono) {
                Ok(()) => {
                    for _ in 1..task.requests() {
                        let _paid = self.budget.take(Class::User, now.mono);
                    }
                    self.begin(task, Class::User, now, steps);
                }
                Err(wait) => self.wake_by(now.mono + wait),
            }
        }
        if let Some(at) = self.flights.next_release(now.mono) {
            self.wake_by(at);
        }
    }

    fn wake_by(&mut self, at: Duration) {
        self.wake = self.wake.min(at);
    }

    fn situation<'a>(&'a self, summary: &'a Summary, now: Now) -> Situation<'a> {
        Situation {
            now: now.mono,
            traits: self.traits,
            options: &self.options,
            facts: &self.facts,
            summary,
            interest: &self.interest,
            followed: self.followed,
            schedule: &self.schedule,
            settling: &self.settling,
            rechecks: &self.rechecks,
            sweeps: [self.lists[0].sweep_due, self.lists[1].sweep_due],
            catching_up: !self.catch_ups.is_empty(),
            all_trials: self.brings_all_trials(),
        }
    }

    /// Returns the plan as it stands.
    #[must_use]
    pub fn plan(&self, now: Now) -> Vec<Planned> {
        self.summary
            .as_ref()
            .map(|summary| plan(&self.situation(summary, now)))
            .unwrap_or_default()
    }

    fn start_background(&mut self, now: Now, steps: &mut Vec<Step>) {
        let planned = self.plan(now);
        self.backlog = planned.iter().filter(|p| p.due <= now.mono).count() as u64;
        if let Some(summary) = self.summary.as_ref().filter(|_| self.brings_all_trials()) {
            let shown = summary.trials_due.len() as u64;
            self.backlog += summary.trials_due_total.saturating_sub(shown);
        }
        let open_until = self.circuit.background_from();
        self.planned = planned.iter().min_by_key(|p| p.due).map(|p| {
            let at = p.due.max(now.mono).max(open_until.unwrap_or(now.mono));
            (at, describe(&p.chore))
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
        let mut broke: [bool; 2] = [false, false];
        for item in planned {
            if item.due > now.mono {
                self.wake_by(item.due);
                continue;
            }
            let heavy = matches!(item.class, Class::Backfill | Class::CatchUp);
            let want = item.chore.want();
            let busy = self.flights.flying(&want)
                || matches!(item.chore, Chore::Poll(kind) if self.flights.flying(&FetchKey::Window(kind)));
            if room == 0 || busy || broke[usize::from(heavy)] {
                continue;
            }
            if now.mono < self.gentle_until && now.mono < self.last_background + GENTLE_GAP {
                self.wake_by(self.last_background + GENTLE_GAP);
                return;
            }
            let Some(task) = self.task_of(&item.chore, now) else {
                continue;
            };
            if task.requests() > 0
                && let Err(wait) = self.budget.take(item.class, now.mono)
            {
                self.wake_by(now.mono + wait);
                broke[usize::from(heavy)] = true;
                continue;
            }
            self.last_background = now.mono;
            self.begin(task, item.class, now, steps);
            room -= 1;
            if probing {
                self.circuit.probe();
                return;
            }
        }
    }

    /// Returns what finds out whether the remote is back: a poll, of the list that failed least.
    fn probes(&self, now: Now) -> Vec<Planned> {
        let failures = |kind: &RunKind| self.schedule.get(&FetchKey::List(*kind)).failures;
        RunKind::ALL
            .iter()
            .min_by_key(|kind| failures(kind))
            .map(|kind| Planned {
                chore: Chore::Poll(*kind),
                due: now.mono,
                class: Class::Poll,
            })
            .into_iter()
            .collect()
    }

    fn room(&self) -> usize {
        let background = self
            .running
            .values()
            .filter(|class| **class != Class::User)
            .count();
        let most = if self.catch_ups.is_empty() {
            self.options.concurrency
        } else {
            self.options.concurrency * 2
        };
        most.saturating_sub(background)
    }

    /// Returns the task that a background chore is now.
    fn task_of(&mut self, chore: &Chore, now: Now) -> Option<Task> {
        let Chore::Sweep(kind) = chore else {
            return Some(self.task_for(&chore.want(), false, now));
        };
        let whole_lists = self.traits.whole_lists;
        let track = &mut self.lists[index(*kind)];
        let facts = self.facts.list_mut(*kind);
        let sweep = track
            .sweep
            .get_or_insert_with(|| Sweep::new(*kind, facts, whole_lists));
        // A head under way would write an older answer about the whole list after ours.
        if sweep.ending() && self.flights.flying(&FetchKey::List(*kind)) {
            return None;
        }
        Some(sweep.task(track.confirmed))
    }

    fn task_for(&mut self, want: &FetchKey, for_user: bool, now: Now) -> Task {
        match want {
            FetchKey::List(kind) | FetchKey::Window(kind) | FetchKey::Sweep(kind) => {
                self.head_task(*kind, for_user, now)
            }
            FetchKey::Run(kind, id) => Task::Run {
                kind: *kind,
                id: id.clone(),
            },
            FetchKey::Trials(run) => Task::Trials {
                run: run.clone(),
                believes_empty: self.schedule.get(want).doubted,
            },
            FetchKey::Trial { run, trial } => Task::Trial {
                run: run.clone(),
                trial: trial.clone(),
            },
        }
    }

    fn head_task(&mut self, kind: RunKind, for_user: bool, now: Now) -> Task {
        let summary = self.summary.clone().unwrap_or_default();
        let windows = round(&self.situation(&summary, now), kind).windows;
        let rows = summary.lists.iter().find(|list| list.kind == kind);
        let track = &mut self.lists[index(kind)];
        let turn = track.turn % windows.len();
        // Whoever waits gets all parts at once, and so a list that is confirmed as a whole.
        let asked: &[Window] = if for_user {
            &windows
        } else {
            track.turn = turn + 1;
            &windows[turn..=turn]
        };
        let pages: Vec<PageRequest> = asked
            .iter()
            .map(|window| PageRequest {
                limit: Some(window.limit),
                offset: window.offset,
                cursor: None,
            })
            .collect();
        let last = track
            .head
            .clone()
            .filter(|head| pages.len() == 1 && head.page == pages[0]);
        Task::Head {
            kind,
            last,
            confirms: (for_user || turn == 0).then_some(track.whole),
            doubts_empty: !track.doubted && rows.is_some_and(|list| list.rows > 0),
            pages,
        }
    }
}

fn describe(chore: &Chore) -> String {
    match chore {
        Chore::Poll(kind) => format!("list of {}s", super::task::words(*kind)),
        Chore::Check(kind, id) => format!("{} {id}", super::task::words(*kind)),
        Chore::Trials(run) => format!("trials of {run}"),
        Chore::Sweep(kind) => format!("all {}s", super::task::words(*kind)),
    }
}
