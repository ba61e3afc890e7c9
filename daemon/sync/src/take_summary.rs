//! Takes the mirror's summary, and notes what has changed since the last one.

use std::collections::HashSet;
use std::time::Duration;

use docks_proto::routes::RunKind;
use docksd_mirror::Summary;

use super::clock::Now;
use super::fetch_key::FetchKey;
use super::state::{EngineState, list_index};

impl EngineState {
    /// Returns whether [`EngineState::set_summary`] should be called before anything else.
    #[must_use]
    pub fn needs_summary(&self) -> bool {
        self.summary.is_none() || self.stale_summary
    }

    /// Takes the mirror's summary.
    pub fn set_summary(&mut self, summary: Summary, now: Now) {
        let is_first = self.summary.is_none();
        for run in &summary.active {
            // An answer just showed it or soon will, so it need not be fetched alone.
            let timing = self
                .due_times
                .entry(&FetchKey::Run(run.kind, run.id.clone()));
            timing.began.get_or_insert(now.mono);
        }
        if let Some(before) = self.summary.take() {
            self.compare_summaries(&before, &summary);
        }
        for stored in &summary.lists {
            let list = &mut self.lists[list_index(stored.kind)];
            if let Some(confirmation) = &stored.confirmation {
                list.complete |= is_first && confirmation.complete;
                list.confirmed = list.confirmed.max(confirmation.at);
            }
            let total = list.listed_total.take();
            if !self.properties.whole_lists && total.is_some_and(|total| total < stored.rows) {
                list.request_proof(now.mono);
            }
            // The length of a list that always comes whole shows that something is gone.
            let differs = list.listed_rows.is_some_and(|n| n as u64 != stored.rows);
            if self.properties.whole_lists && differs && list.sweep_due.is_none() {
                let gap = Duration::from_secs(5);
                list.sweep_due = Some(list.last_sweep.map_or(now.mono, |at| at + gap));
            }
        }
        self.summary = Some(summary);
        self.stale_summary = false;
        self.end_catch_ups(now);
    }

    fn compare_summaries(&mut self, before: &Summary, after: &Summary) {
        let active: HashSet<&str> = after.active.iter().map(|run| run.id.as_str()).collect();
        let was_active = before.active.iter();
        let ended = was_active
            .filter(|run| run.kind == RunKind::Evaluation && !active.contains(run.id.as_str()))
            .map(|run| run.id.clone());
        let ended: Vec<String> = ended.collect();
        // What trials failed for before may be over once the run has ended, or is back after it was gone.
        for run in &ended {
            self.forget_failed_trials(run);
        }
        if before.trials_due_total == before.trials_due.len() as u64 {
            let were_due: HashSet<&str> = before
                .trials_due
                .iter()
                .map(|due| due.run.as_str())
                .collect();
            for due in &after.trials_due {
                if !were_due.contains(due.run.as_str()) {
                    self.forget_failed_trials(&due.run);
                }
            }
        }
        self.just_ended.extend(ended);
    }

    fn forget_failed_trials(&mut self, run: &str) {
        self.due_times
            .forget_failures(&FetchKey::Trials(run.to_owned()));
    }
}
