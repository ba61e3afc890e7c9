//! Every question that a mirror answers, each with one connection that can only read.

use docks_proto::event::{EventQuery, Progress};
use docks_proto::query::ListQuery;
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;
use rusqlite::Connection;

use crate::{
    Confirmation, EventWithObject, HistoryPage, Listing, Mirror, MirrorError, ObservationWindow,
    Resolution, Resource, StateSnapshot, Stats, StatusEvent, StatusScope, StoredObject, Subject,
    Summary, UnsettledRun, confirmations, history, list, observation_window, open, resolve_id,
    runs, state_snapshot, summary, trials, upkeep,
};

impl Mirror {
    /// Lists runs.
    ///
    /// # Errors
    ///
    /// [`MirrorError`] when the file cannot be read; so for all that read.
    pub async fn list_runs(
        &self,
        kind: RunKind,
        query: &ListQuery,
    ) -> Result<Listing, MirrorError> {
        let query = query.clone();
        self.read("list runs", move |c| {
            list::row_source::runs(c, kind, &query)
        })
        .await
    }

    /// Lists the trials of a run; `None` when its list was never mirrored.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn list_trials(
        &self,
        run: &str,
        query: &ListQuery,
    ) -> Result<Option<Listing>, MirrorError> {
        let (run, query) = (run.to_owned(), query.clone());
        self.read("list trials", move |c| {
            list::row_source::trials(c, &run, &query)
        })
        .await
    }

    /// Lists the trials of all evaluation runs, each marked with its run.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn list_all_trials(&self, query: &ListQuery) -> Result<Listing, MirrorError> {
        let query = query.clone();
        let question = move |c: &Connection| list::all_trials::list(c, &query);
        self.read("list all trials", question).await
    }

    /// Lists evaluation runs whose trials may be others than those mirrored, newest first: at
    /// most `most` that have not ended, and as many whose trials are due.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn unsettled_runs(&self, most: usize) -> Result<Vec<UnsettledRun>, MirrorError> {
        self.read("list runs with trials to come", move |c| {
            list::all_trials::loose_runs(c, most)
        })
        .await
    }

    /// Returns one run, also a tombstone.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn run(&self, kind: RunKind, id: &str) -> Result<Option<StoredObject>, MirrorError> {
        let id = id.to_owned();
        self.read("read a run", move |c| runs::get(c, kind, &id))
            .await
    }

    /// Returns one trial, also a tombstone.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn trial(&self, run: &str, trial: &str) -> Result<Option<StoredObject>, MirrorError> {
        let (run, trial) = (run.to_owned(), trial.to_owned());
        self.read("read a trial", move |c| trials::write::get(c, &run, &trial))
            .await
    }

    /// Finds the run that a full id, an exact name or a prefix of an id stands for.
    ///
    /// A tombstone is found by its full id only.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn resolve_run(&self, kind: RunKind, given: &str) -> Result<Resolution, MirrorError> {
        let given = given.to_owned();
        self.read("look up a run", move |c| resolve_id::run(c, kind, &given))
            .await
    }

    /// Finds the trial of a run in the same way.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn resolve_trial(&self, run: &str, given: &str) -> Result<Resolution, MirrorError> {
        let (run, given) = (run.to_owned(), given.to_owned());
        self.read("look up a trial", move |c| {
            resolve_id::trial(c, &run, &given)
        })
        .await
    }

    /// Returns when a resource was last confirmed; `None` when it never was.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn confirmation(
        &self,
        resource: &Resource,
    ) -> Result<Option<Confirmation>, MirrorError> {
        let resource = resource.clone();
        self.read("read an age", move |c| {
            confirmations::confirmed(c, &resource)
        })
        .await
    }

    /// Lists every status that was ever seen.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn seen_statuses(&self, of: StatusScope) -> Result<Vec<String>, MirrorError> {
        self.read("list statuses", move |c| summary::statuses(c, of))
            .await
    }

    /// Returns what a plan starts from, with at most `most` runs whose trials are due.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn summary(&self, most: usize) -> Result<Summary, MirrorError> {
        self.read("sum up", move |c| summary::read(c, most)).await
    }

    /// Counts rows and bytes.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn stats(&self) -> Result<Stats, MirrorError> {
        let path = self.inner.path.clone();
        self.read("count", move |c| {
            let length =
                |suffix| std::fs::metadata(open::with_suffix(&path, suffix)).map_or(0, |m| m.len());
            Ok(Stats {
                rows: summary::counts(c)?,
                bytes: length("") + length("-wal"),
            })
        })
        .await
    }

    /// Returns the history after event number `after`, oldest first.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn events_after(
        &self,
        after: u64,
        most: usize,
    ) -> Result<Vec<StatusEvent>, MirrorError> {
        self.read("read the history", move |c| {
            history::events::after(c, after, most)
        })
        .await
    }

    /// Reads at most `most` changes after number `from`, and returns those that were asked for.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn history_page(
        &self,
        from: u64,
        most: usize,
        wanted: &EventQuery,
    ) -> Result<HistoryPage, MirrorError> {
        let wanted = wanted.clone();
        self.read("read the history", move |c| {
            history::events::scan(c, from, most, &wanted)
        })
        .await
    }

    /// Returns the present state of what was asked for.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn state_snapshot(&self, wanted: &EventQuery) -> Result<StateSnapshot, MirrorError> {
        let wanted = wanted.clone();
        self.read("read the present state", move |c| {
            state_snapshot::read(c, &wanted)
        })
        .await
    }

    /// Counts what there is of some runs, and returns every change after number `from` that is
    /// part of these counts.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn progress_since(
        &self,
        from: u64,
        runs: Vec<String>,
    ) -> Result<(HistoryPage, Vec<Progress>), MirrorError> {
        self.read("count trials", move |c| {
            let since = history::events::scan(c, from, usize::MAX, &EventQuery::default())?;
            let mut all = Vec::new();
            for run in &runs {
                all.extend(state_snapshot::progress(c, run)?);
            }
            Ok((since, all))
        })
        .await
    }

    /// Counts what there is of some runs.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn progress(&self, runs: Vec<String>) -> Result<Vec<Progress>, MirrorError> {
        self.read("count trials", move |c| {
            let mut all = Vec::new();
            for run in &runs {
                all.extend(state_snapshot::progress(c, run)?);
            }
            Ok(all)
        })
        .await
    }

    /// Returns the newest `most` changes of a run, or of one of its trials, oldest first, and
    /// when it was looked at.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn run_history(
        &self,
        kind: RunKind,
        run: &str,
        trial: Option<&str>,
        most: usize,
    ) -> Result<(Vec<StatusEvent>, Vec<ObservationWindow>), MirrorError> {
        let (run, trial) = (run.to_owned(), trial.map(str::to_owned));
        self.read("read the history of a run", move |c| {
            let mut events = history::events::of_run(c, &run, trial.as_deref(), most)?;
            // A jobs directory knows a job under both kinds, by the same id.
            let of_kind = |e: &StatusEvent| e.subject == Subject::Run(kind);
            events.retain(|e| trial.is_some() || of_kind(e));
            let looks = observation_window::of_run(c, kind, &run, trial.is_some())?;
            Ok((events, looks))
        })
        .await
    }

    /// Returns the newest `most` changes between two times, oldest first.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn changes_between(
        &self,
        since: UnixMs,
        until: UnixMs,
        wanted: &EventQuery,
        most: usize,
    ) -> Result<Vec<EventWithObject>, MirrorError> {
        let wanted = wanted.clone();
        self.read("read what changed", move |c| {
            history::events::between(c, since, until, &wanted, most)
        })
        .await
    }

    /// Returns a note.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn read_note(&self, key: &str) -> Result<Option<String>, MirrorError> {
        let key = key.to_owned();
        self.read("read a note", move |c| upkeep::note(c, &key))
            .await
    }
}
