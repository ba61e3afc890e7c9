//! What an outcome changes: circuit, schedule, what is known, and who gets an answer.

use std::time::Duration;

use docks_proto::paging::{ListOrder, PageSummary, Support};
use docks_proto::routes::RunKind;

use docksd_remote::FaultClass;

use super::backoff::Backoff;
use super::clock::Now;
use super::state::{Core, Failure, Reply, index};
use super::sweep::{LEAST_GAP, RETRY};
use super::task::{Answer, FetchKey, Head, Outcome, Step, SyncError, Task};

/// When an empty answer is asked again before it is believed.
const DOUBT: Duration = Duration::from_secs(2);
/// When the open trials of an ended run are looked at again.
const AGAIN: [Duration; 3] = [
    Duration::from_secs(30),
    Duration::from_secs(120),
    Duration::from_secs(600),
];
/// How long background work is spread out after an outage.
const GENTLE: Duration = Duration::from_secs(10);
/// When a directory that could not be read is read again.
const FILES_RETRY: Duration = Duration::from_secs(5);

impl Core {
    /// Takes the end of a step.
    pub fn finished(&mut self, step: &Step, outcome: Outcome, now: Now) {
        self.running.remove(&step.number);
        if self.taking_news == Some(step.number) {
            self.taking_news = None;
        }
        self.budget
            .record(outcome.requests, outcome.not_modified, now.mono);
        // Trials that were fetched leave the plan by themselves, see `forget_due`.
        self.stale_summary |=
            outcome.changed && !matches!(step.task, Task::Trials { .. } | Task::Trial { .. });
        self.note_health(&outcome, step, now);
        if outcome.contradicts {
            self.sweep_soon(step, now);
        }
        let not_modified = outcome.not_modified > 0;
        match outcome.answer {
            Ok(answer) => self.succeeded(step, answer, not_modified, now),
            Err(error) => self.failed(step, &error, now),
        }
        self.count_catch_ups(step);
        self.end_catch_ups(now);
    }

    fn note_health(&mut self, outcome: &Outcome, step: &Step, now: Now) {
        let class = match &outcome.answer {
            Ok(_) => None,
            Err(error) => error.class(),
        };
        let broken = matches!(
            class,
            Some(FaultClass::Outage | FaultClass::Auth | FaultClass::RateLimited)
        );
        let lost = outcome.answer.is_err() && class.is_none();
        if let Err(error) = &outcome.answer {
            self.last_error = Some(error.clone());
            if broken || lost {
                let consecutive = self.last_failure.as_ref().map_or(0, |f| f.consecutive) + 1;
                self.last_failure = Some(Failure {
                    at: now.stamp,
                    error: error.clone(),
                    consecutive,
                });
            }
        }
        if broken && self.traits.metered {
            let attentive = self.attentive(now);
            let error = outcome.answer.as_ref().err();
            let retry_after = error.and_then(SyncError::retry_after);
            let random = self.rng.f64();
            if let Some(class) = class {
                self.circuit
                    .failed(class, retry_after, attentive, now.mono, random);
            }
        } else if !broken && outcome.requests > 0 && !lost {
            // An answer to a request that began before the outage says nothing about it.
            if self
                .circuit
                .opened()
                .is_none_or(|(_, since)| step.began.mono >= since)
            {
                if self.circuit.succeeded() {
                    self.recovered(now);
                }
                self.last_failure = None;
            }
            self.last_success = Some(now.stamp);
        } else if outcome.requests > 0 {
            self.circuit.probe_ended();
        }
    }

    /// Comes back gently: everything is overdue, and everybody else comes back too.
    fn recovered(&mut self, now: Now) {
        self.gentle_until = now.mono + GENTLE;
        let active = self.summary.iter().flat_map(|summary| &summary.active);
        for run in active {
            // The lists show them first; only those that they do not show are asked for.
            let want = FetchKey::Run(run.kind, run.id.clone());
            self.schedule.entry(&want).began = Some(now.mono);
        }
    }

    fn attentive(&self, now: Now) -> bool {
        let active = self.summary.as_ref().is_some_and(|s| !s.active.is_empty());
        active || self.interest.any(now.mono) || !self.catch_ups.is_empty()
    }

    /// The mirror holds what the remote denies: only a sweep can prove which is right.
    fn sweep_soon(&mut self, step: &Step, now: Now) {
        let kind = match &step.task {
            Task::Run { kind, .. } => *kind,
            Task::Act { action, .. } => action.kind(),
            _ => RunKind::Evaluation,
        };
        let track = &mut self.lists[index(kind)];
        let earliest = track.swept.map_or(now.mono, |at| at + LEAST_GAP);
        track.sweep_due.get_or_insert(earliest.max(now.mono));
    }

    fn succeeded(&mut self, step: &Step, answer: Answer, not_modified: bool, now: Now) {
        let random = self.rng.f64();
        match (&step.task, answer) {
            (
                Task::Head { kind, .. },
                Answer::Head {
                    pages,
                    keep,
                    doubtful,
                },
            ) => {
                if doubtful {
                    self.doubt_head(*kind, step, now);
                    return;
                }
                self.head_answered(step, *kind, &pages, keep, not_modified);
            }
            (Task::Trials { run, .. }, Answer::Stored { doubtful: true, .. }) => {
                let want = FetchKey::Trials(run.clone());
                let entry = self.schedule.entry(&want);
                entry.doubted = true;
                entry.blocked_until = now.mono + DOUBT;
                self.flights.again(&want, now.mono + DOUBT);
                return;
            }
            (Task::Act { action, .. }, Answer::Acted(object)) => {
                self.schedule.hasten(&FetchKey::Window(action.kind()));
                self.lists[index(action.kind())].turn = 0;
                if let Some(waiter) = self.actors.remove(&step.number) {
                    self.replies.push((waiter, Reply::Acted(Ok(object))));
                }
                return;
            }
            (Task::TakeChanges, Answer::Changes { runs }) => {
                self.news_taken(&runs, step.began.mono);
                return;
            }
            (Task::Note { .. }, _) => {
                self.noting = false;
                return;
            }
            (Task::Trials { run, .. }, Answer::Stored { open, .. }) => {
                self.look_again(run, open, now);
            }
            (task, answer) => self.sweep_answered(task, answer, now),
        }
        if let Task::Run {
            kind: RunKind::Evaluation,
            id,
        } = &step.task
        {
            self.settling.remove(id);
        }
        if let Some(want) = step.task.want() {
            self.schedule.answered(&want, step.began.mono, random);
            self.schedule.entry(&want).doubted = false;
            for want in std::mem::take(&mut self.doubts) {
                self.schedule.entry(&want).blocked_until = now.mono + DOUBT;
            }
            if let Task::Trials { run, .. } = &step.task {
                self.forget_due(run);
            }
            self.resolve(&want, &Ok(step.began));
        }
    }

    /// What came as news need not be asked for.
    fn news_taken(&mut self, runs: &[String], began: Duration) {
        for track in &mut self.lists {
            // The next poll counts again; until then a difference proves nothing.
            track.listed = None;
        }
        for run in runs {
            let of_runs = RunKind::ALL.map(|kind| FetchKey::Run(kind, run.clone()));
            for want in of_runs.iter().chain([&FetchKey::Trials(run.clone())]) {
                let random = self.rng.f64();
                self.schedule.answered(want, began, random);
            }
            self.forget_due(run);
        }
    }

    /// Plans another look at trials that should have ended with their run: the answer may
    /// come from a replica that lags. Some never end, and so it is done a few times only.
    fn look_again(&mut self, run: &str, open: bool, now: Now) {
        let summary = self.summary.as_ref();
        let active = summary.is_some_and(|s| s.active.iter().any(|active| active.id == run));
        let (looks, due) = self.rechecks.get(run).copied().unwrap_or_default();
        match AGAIN.get(usize::from(looks)) {
            // Somebody else's look before its time does not count.
            _ if due > now.mono => {}
            Some(wait) if !active && (open || looks > 0) => {
                let next = (looks + 1, now.mono + *wait);
                self.rechecks.insert(run.to_owned(), next);
            }
            _ => {
                self.rechecks.remove(run);
            }
        }
    }

    /// Leaves trials out of the plan until the mirror's next summary.
    fn forget_due(&mut self, run: &str) {
        if let Some(summary) = &mut self.summary {
            let before = summary.trials_due.len();
            summary.trials_due.retain(|due| due.run != run);
            let gone = (before - summary.trials_due.len()) as u64;
            summary.trials_due_total = summary.trials_due_total.saturating_sub(gone);
            // The rest is not shown by the summary; ask for it when this part is done.
            if summary.trials_due.is_empty() && summary.trials_due_total > 0 {
                self.stale_summary = true;
            }
        }
    }

    /// Takes that the mirror has no summary: without a first one nothing can begin, and
    /// nobody should wait for it.
    pub fn cannot_plan(&mut self, error: &SyncError, now: Now) {
        if self.summary.is_some() {
            return;
        }
        for want in self.flights.ready(now.mono) {
            for waiter in self.flights.refuse_waiting(&want) {
                let reply = Reply::Confirmed(Err(error.clone()));
                self.replies.push((waiter, reply));
            }
        }
        self.fail_catch_ups(error);
    }

    fn resolve(&mut self, want: &FetchKey, result: &Result<Now, SyncError>) {
        for waiter in self.flights.end(want) {
            let result = result.as_ref().map(|now| now.stamp).map_err(Clone::clone);
            self.replies.push((waiter, Reply::Confirmed(result)));
        }
    }

    fn doubt_head(&mut self, kind: RunKind, step: &Step, now: Now) {
        let track = &mut self.lists[index(kind)];
        track.doubted = true;
        track.turn = 0;
        for want in [FetchKey::List(kind), FetchKey::Window(kind)] {
            self.schedule.entry(&want).blocked_until = now.mono + DOUBT;
        }
        if let Some(want) = step.task.want() {
            self.flights.again(&want, now.mono + DOUBT);
        }
    }

    fn head_answered(
        &mut self,
        step: &Step,
        kind: RunKind,
        pages: &[PageSummary],
        keep: Option<Head>,
        not_modified: bool,
    ) {
        let Task::Head {
            pages: asked,
            confirms,
            ..
        } = &step.task
        else {
            return;
        };
        let facts = self.facts.list_mut(kind);
        if not_modified {
            facts.etag = Support::Honoured;
        }
        for (request, page) in asked.iter().zip(pages) {
            if request
                .limit
                .is_some_and(|limit| page.len >= limit as usize)
            {
                facts.limit_filled = facts.limit_filled.max(request.limit.unwrap_or(0));
            }
            // Later the sweeps watch it: an order that changed with each poll would help nobody.
            if facts.order == ListOrder::Unknown {
                facts.observe_order(&page.created);
            }
        }
        let track = &mut self.lists[index(kind)];
        track.doubted = track.doubted && pages.iter().all(|page| page.len == 0);
        if confirms.is_some() {
            track.confirmed = track.confirmed.max(step.began.stamp);
            track.listed = Some(pages.iter().map(|page| page.ids.len()).sum());
        }
        if keep.is_some() {
            track.head = keep;
        }
        let began = step.began.mono;
        let listed: std::collections::HashSet<&str> = pages
            .iter()
            .flat_map(|page| page.ids.iter().map(String::as_str))
            .collect();
        if let Some(summary) = &self.summary {
            for run in summary.active.iter().filter(|run| run.kind == kind) {
                if listed.contains(run.id.as_str()) {
                    let want = FetchKey::Run(kind, run.id.clone());
                    self.schedule.answered(&want, began, 0.5);
                }
            }
        }
        // Newly active runs are in no summary yet, and rows that were written are confirmed.
        self.stale_summary = true;
        let random = self.rng.f64();
        self.schedule
            .answered(&FetchKey::Window(kind), began, random);
        self.note_heads(kind, step);
    }

    fn sweep_answered(&mut self, task: &Task, answer: Answer, now: Now) {
        let (kind, whole) = match task {
            Task::SweepPage { kind, .. } | Task::Unseen { kind, .. } => (*kind, None),
            Task::Prove { kind, .. } => (*kind, None),
            Task::SweepEnd { kind, whole, .. } => (*kind, Some(*whole)),
            _ => return,
        };
        let track = &mut self.lists[index(kind)];
        if let Some(whole) = whole {
            track.whole = whole;
            track.sweep = None;
            track.sweep_due = None;
            track.swept = Some(now.mono);
            track.swept_at = Some(now.stamp);
            return;
        }
        let Some(sweep) = &mut track.sweep else {
            return;
        };
        match answer {
            Answer::Page { sweep: n, page } => {
                let summary = self.summary.as_ref();
                let rows = summary.and_then(|s| s.lists.iter().find(|list| list.kind == kind));
                let held = rows.map_or(0, |list| list.rows);
                if !sweep.page(n, &page, held, self.facts.list_mut(kind)) {
                    self.doubts.push(FetchKey::Sweep(kind));
                }
            }
            Answer::Unseen(ids) => sweep.unseen(ids, &mut self.rng),
            Answer::Proved { gone } => sweep.proved(gone),
            _ => {}
        }
    }

    fn failed(&mut self, step: &Step, error: &SyncError, now: Now) {
        if let Some(waiter) = self.actors.remove(&step.number) {
            // Whether the action was carried out is unknown: the list will tell.
            if let Task::Act { action, .. } = &step.task {
                self.schedule.hasten(&FetchKey::Window(action.kind()));
            }
            self.replies
                .push((waiter, Reply::Acted(Err(error.clone()))));
            return;
        }
        self.noting &= !matches!(step.task, Task::Note { .. });
        let Some(want) = step.task.want() else {
            return;
        };
        if error.may_refuse_limit() && self.limit_refused(step) {
            self.flights.again(&want, now.mono);
            return;
        }
        if let Task::Run {
            kind: RunKind::Evaluation,
            id,
        } = &step.task
            && matches!(
                error.class(),
                Some(FaultClass::NotFound | FaultClass::Rejected | FaultClass::Unsupported)
            )
        {
            self.settling.remove(id);
        }
        if let FetchKey::List(kind) | FetchKey::Window(kind) = want {
            for want in [FetchKey::List(kind), FetchKey::Window(kind)] {
                self.leave_alone(&want, error, now);
            }
            self.note_head_failed();
        } else {
            self.leave_alone(&want, error, now);
        }
        if let (FetchKey::Trials(_), Some(summary)) = (&want, &self.summary) {
            let mut shown = summary.trials_due.iter();
            let more = summary.trials_due_total > summary.trials_due.len() as u64;
            let failing =
                |run: &String| self.schedule.get(&FetchKey::Trials(run.clone())).failures > 0;
            self.stale_summary |= more && shown.all(|due| failing(&due.run));
        }
        if let FetchKey::Sweep(kind) = want {
            let track = &mut self.lists[index(kind)];
            let lost = matches!(error, SyncError::Mirror(_));
            if lost || track.sweep.as_mut().is_some_and(|sweep| !sweep.failed()) {
                track.sweep = None;
                track.sweep_due = Some(now.mono + if lost { LEAST_GAP } else { RETRY });
            }
        }
        self.resolve(&want, &Err(error.clone()));
    }

    fn leave_alone(&mut self, want: &FetchKey, error: &SyncError, now: Now) {
        let random = self.rng.f64();
        let metered = self.traits.metered;
        // The circuit decides when a remote that is out is asked again, by its lists.
        let opened = self.circuit.opened().is_some();
        let class = error.class();
        let list = matches!(want, FetchKey::List(_) | FetchKey::Window(_));
        let backoff = match want {
            _ if list => Backoff::LIST,
            FetchKey::Trials(run) if !self.interest.in_trials(run, now.mono) => Backoff::BACKFILL,
            _ => Backoff::RESOURCE,
        };
        self.schedule
            .failed(want, now.mono, |failures| match class {
                _ if !metered => FILES_RETRY,
                Some(FaultClass::Rejected | FaultClass::Unsupported | FaultClass::NotFound) => {
                    Backoff::REFUSED.wait(failures, random)
                }
                Some(_) if opened && list => Duration::ZERO,
                _ => backoff.wait(failures, random),
            });
    }

    /// Lowers the limit that was refused; `false` when the refusal is not about it.
    fn limit_refused(&mut self, step: &Step) -> bool {
        match &step.task {
            Task::Head { kind, pages, .. } => {
                let limit = pages
                    .iter()
                    .filter_map(|page| page.limit)
                    .max()
                    .unwrap_or(1);
                let facts = self.facts.list_mut(*kind);
                if !self.traits.metered || !facts.record_refusal(limit) {
                    return false;
                }
                self.schedule.hasten(&FetchKey::Window(*kind));
                true
            }
            Task::SweepPage { kind, .. } => {
                let track = &mut self.lists[index(*kind)];
                let facts = self.facts.list_mut(*kind);
                let sweep = track.sweep.as_mut();
                sweep.is_some_and(|sweep| sweep.refused(facts))
            }
            _ => false,
        }
    }
}
