//! Queries for the history and what event streams need, each on a read-only connection.

use docks_proto::event::{EventQuery, Progress};
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;

use crate::error::MirrorError;
use crate::history::{self, EventWithObject, HistoryPage, StatusEvent, Subject};
use crate::observation_window::{self, ObservationWindow};
use crate::reader_pool::Lane;
use crate::state_snapshot::{self, StateSnapshot};
use crate::{Mirror, progress};

impl Mirror {
    /// Returns at most `limit` events after sequence number `after`, oldest first.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn events_after(
        &self,
        after: u64,
        limit: usize,
    ) -> Result<Vec<StatusEvent>, MirrorError> {
        self.read_in(Lane::Engine, "read the history", move |c| {
            history::events_after(c, after, limit)
        })
        .await
    }

    /// Reads at most `limit` events after sequence number `after`, and returns those that the query
    /// selects.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn history_page(
        &self,
        after: u64,
        limit: usize,
        query: &EventQuery,
    ) -> Result<HistoryPage, MirrorError> {
        let query = query.clone();
        self.read_in(Lane::Search, "read the history", move |c| {
            history::read_page(c, after, limit, &query)
        })
        .await
    }

    /// Returns the current state of the objects that the query selects.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn state_snapshot(&self, query: &EventQuery) -> Result<StateSnapshot, MirrorError> {
        let query = query.clone();
        self.read_in(Lane::Search, "read the current state", move |c| {
            state_snapshot::read(c, &query)
        })
        .await
    }

    /// Returns the progress of some runs, and every event after sequence number `after` that
    /// is part of these counts.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn progress_with_events_since(
        &self,
        after: u64,
        runs: Vec<String>,
    ) -> Result<(HistoryPage, Vec<Progress>), MirrorError> {
        self.read_in(Lane::Engine, "count trials", move |c| {
            let page = history::read_page(c, after, usize::MAX, &EventQuery::default())?;
            Ok((page, progress::progress_of_runs(c, &runs)?))
        })
        .await
    }

    /// Returns the progress of some runs.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn progress(&self, runs: Vec<String>) -> Result<Vec<Progress>, MirrorError> {
        self.read_in(Lane::Engine, "count trials", move |c| {
            progress::progress_of_runs(c, &runs)
        })
        .await
    }

    /// Returns the newest `limit` events of a run, or of one of its trials, oldest first, and when
    /// it was watched.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn run_history(
        &self,
        kind: RunKind,
        run: &str,
        trial: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<StatusEvent>, Vec<ObservationWindow>), MirrorError> {
        let (run, trial) = (run.to_owned(), trial.map(str::to_owned));
        self.read_in(Lane::Search, "read the history of a run", move |c| {
            let mut events = history::events_of_run(c, &run, trial.as_deref(), limit)?;
            // A jobs directory lists a job under both kinds, with the same id.
            let of_kind = |e: &StatusEvent| e.subject == Subject::Run(kind);
            events.retain(|e| trial.is_some() || of_kind(e));
            let windows = observation_window::windows_of_run(c, kind, &run, trial.is_some())?;
            Ok((events, windows))
        })
        .await
    }

    /// Returns the newest `limit` changes from `since` (inclusive) to `until` (exclusive), oldest first.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn changes_between(
        &self,
        since: UnixMs,
        until: UnixMs,
        query: &EventQuery,
        limit: usize,
    ) -> Result<Vec<EventWithObject>, MirrorError> {
        let query = query.clone();
        self.read_in(Lane::Search, "read what changed", move |c| {
            history::changes_between(c, since, until, &query, limit)
        })
        .await
    }
}
