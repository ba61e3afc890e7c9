//! What the success of a step changes: due times, what is known, and who gets an answer.

use std::collections::HashSet;
use std::time::Duration;

use docks_proto::paging::{ListOrder, PageSummary, Support};
use docks_proto::routes::RunKind;

use docksd_remote::RemoteError;

use super::clock::Now;
use super::error::SyncError;
use super::fetch_key::FetchKey;
use super::list_poll::{CachedPage, ListPoll, PolledParts};
use super::outcome::{Answer, ListEnd, Outcome};
use super::state::{EngineState, Reply, list_index};
use super::step::{Step, Task};

/// How long an empty answer is doubted before it is requested again.
const DOUBT: Duration = Duration::from_secs(2);
/// Pause before the second look at what was reopened. The mirror tells looks apart by the millisecond.
const SECOND_LOOK: Duration = Duration::from_millis(50);
/// How often the same is requested for callers who wait, until the mirror has what the response says.
const MAX_LOOKS: u8 = 10;
/// When the open trials of an ended run are fetched again.
const RECHECK_AFTER: [Duration; 3] = [
    Duration::from_secs(30),
    Duration::from_secs(120),
    Duration::from_secs(600),
];

impl EngineState {
    /// Records how a step ended.
    pub fn finish_step(&mut self, step: &Step, outcome: Outcome, now: Now) {
        self.running.remove(&step.number);
        if self.taking_changes == Some(step.number) {
            self.taking_changes = None;
        }
        self.budget
            .record(outcome.requests, outcome.not_modified, now.mono);
        // Trials that were fetched leave the plan without a new summary: `drop_from_summary`.
        let fetched_trials = matches!(
            step.task,
            Task::FetchTrials { .. } | Task::FetchTrial { .. }
        );
        self.stale_summary |= outcome.changed && !fetched_trials;
        self.record_remote_health(&outcome, step, now);
        if outcome.contradicts {
            self.request_sweep_for(step, now);
        }
        if let (Task::FetchTrials { run, .. }, Ok(_)) = (&step.task, &outcome.answer) {
            self.record_received_trials(run);
        }
        let not_modified = outcome.not_modified > 0;
        if let Some(FetchKey::Sweep(kind)) = step.task.key()
            && outcome.is_unsettled()
            && let Some(sweep) = &mut self.lists[list_index(kind)].sweep
        {
            sweep.record_unsettled();
        }
        let is_unsettled = outcome.is_unsettled();
        match outcome.answer {
            Ok(_) if is_unsettled && self.is_last_look(step) => {
                let why = "it changes faster than it can be read".to_owned();
                self.step_failed(step, &RemoteError::InvalidResponse { why }.into(), now);
            }
            Ok(_) if is_unsettled && self.look_again(step, now) => {}
            Ok(answer) => self.step_succeeded(step, answer, not_modified, now),
            Err(error) => self.step_failed(step, &error, now),
        }
        self.count_step(step);
        self.end_catch_ups(now);
    }

    fn step_succeeded(&mut self, step: &Step, answer: Answer, not_modified: bool, now: Now) {
        let random = self.rng.f64();
        match (&step.task, answer) {
            (Task::PollList(poll), Answer::ListPages { doubtful: true, .. }) => {
                self.doubt_empty_list(poll.kind, step, now);
                return;
            }
            (
                Task::PollList(poll),
                Answer::ListPages {
                    pages,
                    cache,
                    is_settled,
                    end,
                    lacks_rows,
                    ..
                },
            ) => {
                let list = &mut self.lists[list_index(poll.kind)];
                if lacks_rows {
                    list.polls_lacking_rows = list.polls_lacking_rows.saturating_add(1);
                } else if poll.checks_unlisted && is_settled {
                    list.polls_lacking_rows = 0;
                }
                let known = self.capabilities.list(poll.kind);
                let is_whole = match end {
                    ListEnd::Unknown => false,
                    ListEnd::ShortPage => {
                        (pages.last()).is_some_and(|last| last.len < known.limit_filled as usize)
                    }
                    ListEnd::Proven => true,
                };
                if is_whole && is_settled && poll.checks_unlisted {
                    let confirmed = poll.parts.confirms(step.began.stamp).unwrap_or_default();
                    list.whole_confirmed = list.whole_confirmed.max(confirmed);
                }
                self.list_polled(step, poll, &pages, cache, (not_modified, is_settled));
            }
            (Task::FetchTrials { run, .. }, Answer::Stored { doubtful: true, .. }) => {
                let key = FetchKey::Trials(run.clone());
                let timing = self.due_times.entry(&key);
                timing.doubted = true;
                timing.blocked_until = now.mono + DOUBT;
                self.flights.retry(&key, now.mono + DOUBT);
                return;
            }
            (Task::Act { action, .. }, Answer::Acted(acted)) => {
                self.due_times.make_due(&FetchKey::ListPart(action.kind()));
                self.lists[list_index(action.kind())].next_part = 0;
                if let Some(waiter) = self.action_waiters.remove(&step.number) {
                    self.replies.push((waiter, Reply::Acted(Ok(acted))));
                }
                return;
            }
            (Task::TakeChanges, Answer::Changes { runs }) => {
                self.changes_taken(&runs, step.began.mono);
                return;
            }
            (Task::StoreCapabilities { .. }, _) => {
                self.storing_capabilities = false;
                return;
            }
            (Task::FetchTrials { run, .. }, Answer::Stored { open_trials, .. }) => {
                self.plan_recheck(run, open_trials, now);
            }
            (task, answer) => self.sweep_continued(task, answer, now),
        }
        if let Task::FetchRun {
            kind: RunKind::Evaluation,
            id,
        } = &step.task
        {
            self.just_ended.remove(id);
        }
        if let Some(key) = step.task.key() {
            self.due_times.record_answer(&key, step.began.mono, random);
            let timing = self.due_times.entry(&key);
            timing.doubted = false;
            timing.looks = 0;
            for key in std::mem::take(&mut self.unbelieved) {
                self.due_times.entry(&key).blocked_until = now.mono + DOUBT;
            }
            if let Task::FetchTrials { run, .. } = &step.task {
                self.drop_from_summary(run);
            }
            self.resolve(&key, &Ok(step.began));
        }
    }

    /// Requests the same once more if somebody waits for it, who would otherwise be told what was before
    /// the reopening. Returns whether it does.
    fn look_again(&mut self, step: &Step, now: Now) -> bool {
        let Some(key) = step.task.key() else {
            return false;
        };
        if !self.is_awaited(&key) {
            return false;
        }
        let timing = self.due_times.entry(&key);
        timing.looks += 1;
        timing.blocked_until = now.mono + SECOND_LOOK;
        self.flights.retry(&key, now.mono + SECOND_LOOK);
        true
    }

    fn is_awaited(&self, key: &FetchKey) -> bool {
        self.flights.is_awaited(key) || !self.catch_ups.is_empty()
    }

    /// Whether those who wait for the request get no answer if this was not the final one.
    fn is_last_look(&mut self, step: &Step) -> bool {
        let Some(key) = step.task.key() else {
            return false;
        };
        let is_last = self.is_awaited(&key) && self.due_times.get(&key).looks >= MAX_LOOKS;
        if is_last {
            self.due_times.entry(&key).looks = 0;
        }
        is_last
    }

    /// Records that reported changes make requests for the same runs unnecessary.
    fn changes_taken(&mut self, runs: &[String], began: Duration) {
        for list in &mut self.lists {
            // Until the next poll counts again, a difference proves nothing.
            list.listed_rows = None;
        }
        for run in runs {
            let of_runs = RunKind::ALL.map(|kind| FetchKey::Run(kind, run.clone()));
            for key in of_runs.iter().chain([&FetchKey::Trials(run.clone())]) {
                let random = self.rng.f64();
                self.due_times.record_answer(key, began, random);
            }
            self.drop_from_summary(run);
        }
    }

    /// Plans another fetch of trials that should have ended with their run: the answer may come
    /// from a replica that lags. Some trials never end, so this is done a few times only.
    fn plan_recheck(&mut self, run: &str, open_trials: bool, now: Now) {
        let summary = self.summary.as_ref();
        let active = summary.is_some_and(|s| s.active.iter().any(|active| active.id == run));
        let (checks, due) = self.rechecks.get(run).copied().unwrap_or_default();
        match RECHECK_AFTER.get(usize::from(checks)) {
            // A fetch for a user before the time does not count.
            _ if due > now.mono => {}
            Some(wait) if !active && (open_trials || checks > 0) => {
                let next = (checks + 1, now.mono + *wait);
                self.rechecks.insert(run.to_owned(), next);
            }
            _ => {
                self.rechecks.remove(run);
            }
        }
    }

    /// Leaves the trials of a run out of the plan until the mirror's next summary.
    fn drop_from_summary(&mut self, run: &str) {
        if let Some(summary) = &mut self.summary {
            let before = summary.trials_due.len();
            summary.trials_due.retain(|due| due.run != run);
            let dropped = (before - summary.trials_due.len()) as u64;
            summary.trials_due_total = summary.trials_due_total.saturating_sub(dropped);
            // A summary names only some of the runs; the next one names the others.
            if summary.trials_due.is_empty() && summary.trials_due_total > 0 {
                self.stale_summary = true;
            }
        }
    }

    /// Answers everyone who waited for the request.
    pub(super) fn resolve(&mut self, key: &FetchKey, result: &Result<Now, SyncError>) {
        for waiter in self.flights.finish(key) {
            let result = result.as_ref().map(|now| now.stamp).map_err(Clone::clone);
            self.replies.push((waiter, Reply::Confirmed(result)));
        }
    }

    fn doubt_empty_list(&mut self, kind: RunKind, step: &Step, now: Now) {
        let list = &mut self.lists[list_index(kind)];
        list.doubted_empty = true;
        list.next_part = 0;
        for key in [FetchKey::List(kind), FetchKey::ListPart(kind)] {
            self.due_times.entry(&key).blocked_until = now.mono + DOUBT;
        }
        if let Some(key) = step.task.key() {
            self.flights.retry(&key, now.mono + DOUBT);
        }
    }

    fn list_polled(
        &mut self,
        step: &Step,
        poll: &ListPoll,
        pages: &[PageSummary],
        cache: Option<CachedPage>,
        (not_modified, is_settled): (bool, bool),
    ) {
        let kind = poll.kind;
        let known = self.capabilities.list_mut(kind);
        if not_modified {
            known.etag = Support::Honoured;
        }
        if let (Some(limit), [page]) = (poll.only_page().and_then(|page| page.limit), pages)
            && page.len >= limit as usize
        {
            known.limit_filled = known.limit_filled.max(limit);
        }
        for page in pages {
            // Once known, the order is left to the sweeps: an order that changed with each poll
            // would be useless.
            if known.order == ListOrder::Unknown {
                known.observe_order(&page.created);
            }
        }
        let list = &mut self.lists[list_index(kind)];
        list.failed = None;
        list.doubted_empty = list.doubted_empty && pages.iter().all(|page| page.len == 0);
        if is_settled {
            let began = step.began.stamp;
            let confirmed = poll.parts.confirms(began).unwrap_or_default();
            list.confirmed = list.confirmed.max(confirmed);
            if let (PolledParts::One(turn), [page]) = (&poll.parts, pages) {
                list.round = turn.next_round(began, page);
            }
        }
        if poll.parts.include_first() {
            list.listed_total = pages.first().and_then(|page| page.total);
            list.listed_rows = Some(pages.iter().map(|page| page.ids.len()).sum());
        }
        if cache.is_some() {
            list.cached_page = cache;
        }
        let began = step.began.mono;
        let listed: HashSet<&str> = pages
            .iter()
            .flat_map(|page| page.ids.iter().map(String::as_str))
            .collect();
        if let Some(summary) = &self.summary {
            for run in summary.active.iter().filter(|run| run.kind == kind) {
                if listed.contains(run.id.as_str()) {
                    let key = FetchKey::Run(kind, run.id.clone());
                    self.due_times.record_answer(&key, began, 0.5);
                }
            }
        }
        // The summary lacks runs that became active, and its confirmations are out of date.
        self.stale_summary = true;
        let random = self.rng.f64();
        for key in [FetchKey::List(kind), FetchKey::ListPart(kind)] {
            self.due_times.record_answer(&key, began, random);
        }
        self.record_polled_list(kind, step);
    }

    fn sweep_continued(&mut self, task: &Task, answer: Answer, now: Now) {
        let (kind, finished) = match task {
            Task::SweepPage { kind, .. }
            | Task::FindUnseen { kind, .. }
            | Task::CheckUnseen { kind, .. } => (*kind, None),
            Task::FinishSweep {
                kind,
                complete,
                whole_since,
                ..
            } => (*kind, Some((*complete, *whole_since))),
            _ => return,
        };
        let list = &mut self.lists[list_index(kind)];
        if let Some((complete, whole_since)) = finished {
            list.complete = complete;
            list.whole_confirmed = list.whole_confirmed.max(whole_since.unwrap_or_default());
            list.polls_lacking_rows = 0;
            list.proof_ended();
            list.sweep_due = None;
            list.unstored_sweep = None;
            let was_unstored = std::mem::take(&mut list.unstored_sweeps) > 0;
            list.last_sweep = Some(now.mono);
            list.last_sweep_at = Some(now.stamp);
            if was_unstored {
                // What kept the sweep out kept trials out, too.
                self.due_times.retry_failed_trials();
            }
            return;
        }
        let Some(sweep) = &mut list.sweep else {
            return;
        };
        match answer {
            Answer::SweepPage {
                sweep: number,
                page,
            } => {
                let summary = self.summary.as_ref();
                let rows = summary.and_then(|s| s.lists.iter().find(|list| list.kind == kind));
                let stored = rows.map_or(0, |list| list.rows);
                if !sweep.accept_page(number, &page, stored, self.capabilities.list_mut(kind)) {
                    self.unbelieved.push(FetchKey::Sweep(kind));
                }
            }
            Answer::Unseen(ids) => sweep.accept_unseen(ids, &mut self.rng),
            Answer::UnseenChecked { gone } => sweep.accept_check(gone),
            _ => {}
        }
    }
}
