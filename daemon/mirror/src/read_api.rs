//! Queries for lists, single objects and the state of the mirror, each on a read-only connection.

use docks_proto::query::ListQuery;
use docks_proto::routes::RunKind;
use docks_proto::status::MirrorRebuild;
use docks_proto::time::UnixMs;
use docks_statistics::trial::FactsList;

use crate::delivered_runs::{self, DeliveredRun};
use crate::error::MirrorError;
use crate::list::{self, AgeOfTrials, Listing};
use crate::reader_pool::Lane;
use crate::resolve_id::{self, Resolution};
use crate::resource::{Confirmation, Resource};
use crate::stats::{self, Stats, StatusScope};
use crate::stored_object::StoredObject;
use crate::summary::{self, Summary};
use crate::trials::{FactsSelection, TaskMatch};
use crate::unsettled_runs::{self, UnsettledRun};
use crate::{Mirror, confirmations, notes, open, runs, timestamps, trials};

/// Rows at the beginning of a list that are read within milliseconds.
const MOST_USUAL_ROWS: u64 = 1_000;

/// What is known of the trials at a task.
#[derive(Debug, Clone)]
pub enum FactsAtTask {
    /// Their facts.
    Found(FactsList),
    /// The name means several tasks.
    Ambiguous(Vec<String>),
    /// No trial ever was at such a task.
    NotFound,
}

impl Mirror {
    /// Lists runs.
    ///
    /// # Errors
    ///
    /// [`MirrorError`] when the file cannot be read; the same holds for every other query.
    pub async fn list_runs(
        &self,
        kind: RunKind,
        query: &ListQuery,
    ) -> Result<Listing, MirrorError> {
        let (lane, query) = (lane_of(query), query.clone());
        self.read_in(lane, "list runs", move |c| list::list_runs(c, kind, &query))
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
        let (run, lane, query) = (run.to_owned(), lane_of(query), query.clone());
        self.read_in(lane, "list trials", move |c| {
            list::list_trials(c, &run, &query)
        })
        .await
    }

    /// Lists the trials of all evaluation runs, each marked with its run.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn list_all_trials(
        &self,
        query: &ListQuery,
        age: AgeOfTrials,
    ) -> Result<Listing, MirrorError> {
        let query = query.clone();
        self.read_in(Lane::Search, "list all trials", move |c| {
            list::list_all_trials(c, &query, age)
        })
        .await
    }

    /// Reads what figures are made of, of the trials of some evaluation runs or of all, in one version of the mirror.
    /// Returns it with the number of runs whose trials are not mirrored, or may have changed since they were.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn trial_facts(
        &self,
        selection: FactsSelection,
    ) -> Result<(FactsList, u64), MirrorError> {
        let doing = "read the facts of trials";
        self.read_in(Lane::Search, doing, move |c| {
            let facts = trials::read_facts(c, &selection, None)?;
            Ok((facts, trials::unread_runs(c)?))
        })
        .await
    }

    /// Reads the same of the trials that meet the filters of a query, whose order and page are ignored. Returns it with
    /// the confirmation of the trials of all runs; `None` if their list was never mirrored.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn matching_trial_facts(
        &self,
        selection: FactsSelection,
        query: &ListQuery,
        age: AgeOfTrials,
    ) -> Result<(FactsList, Option<Confirmation>), MirrorError> {
        let query = query.clone();
        let doing = "read the facts of some trials";
        self.read_in(Lane::Search, doing, move |c| {
            let wanted = list::matching_trials(c, &query)?;
            let facts = trials::read_facts(c, &selection, wanted.as_ref())?;
            Ok((facts, list::oldest_confirmation(c, age)?))
        })
        .await
    }

    /// Reads the same of the trials at one task, given by its name or a unique beginning of it, of all evaluation runs,
    /// oldest first. Order, page and tasks of the query are ignored.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn trial_facts_at_task(
        &self,
        task: &str,
        query: &ListQuery,
        age: AgeOfTrials,
    ) -> Result<(FactsAtTask, Option<Confirmation>), MirrorError> {
        let (task, mut query) = (task.to_owned(), query.clone());
        let doing = "read the facts of the trials at a task";
        self.read_in(Lane::Search, doing, move |c| {
            let found = match trials::find_task(c, &task)? {
                TaskMatch::One(task) => {
                    query.trials.task = vec![task.clone()];
                    let rows = list::matching_trials(c, &query)?.unwrap_or_default();
                    FactsAtTask::Found(trials::read_at_task(c, &task, rows)?)
                }
                TaskMatch::Several(tasks) => FactsAtTask::Ambiguous(tasks),
                TaskMatch::None => FactsAtTask::NotFound,
            };
            Ok((found, list::oldest_confirmation(c, age)?))
        })
        .await
    }

    /// Lists the evaluation runs that are mirrored together with all their trials, with the run of the same id and
    /// the validator of the trials.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn delivered_runs(&self) -> Result<Vec<DeliveredRun>, MirrorError> {
        let doing = "list runs with their trials";
        self.read_in(Lane::Engine, doing, delivered_runs::delivered_runs)
            .await
    }

    /// Lists evaluation runs whose trials may have changed since they were mirrored: those that have
    /// not ended, then those whose trials are due; at most `limit` of each, newest first.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn unsettled_runs(&self, limit: usize) -> Result<Vec<UnsettledRun>, MirrorError> {
        self.read_in(Lane::Engine, "list unsettled runs", move |c| {
            unsettled_runs::unsettled_runs(c, limit)
        })
        .await
    }

    /// Lists the evaluation runs whose end the mirror saw at `since` or later, and that have trials that have not
    /// ended: a replica that lags may have sent them. At most `limit`, the last first.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn ended_with_open_trials(
        &self,
        since: UnixMs,
        limit: usize,
    ) -> Result<Vec<String>, MirrorError> {
        self.read("list runs with open trials", move |c| {
            unsettled_runs::ended_with_open_trials(c, since, limit)
        })
        .await
    }

    /// Returns the newest time at which this machine recorded anything; `None` if it never did.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn newest_timestamp(&self) -> Result<Option<UnixMs>, MirrorError> {
        self.read_in(
            Lane::Engine,
            "read the newest timestamp",
            timestamps::newest,
        )
        .await
    }

    /// Lists the ids of the live runs that were created after a time, or of all, newest first.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn runs_created_after(
        &self,
        kind: RunKind,
        after: Option<UnixMs>,
    ) -> Result<Vec<String>, MirrorError> {
        self.read_in(Lane::Engine, "list the ids of runs", move |c| {
            runs::created_after(c, kind, after)
        })
        .await
    }

    /// Returns one run, even if it is a tombstone.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn run(&self, kind: RunKind, id: &str) -> Result<Option<StoredObject>, MirrorError> {
        let id = id.to_owned();
        self.read("read a run", move |c| runs::get(c, kind, &id))
            .await
    }

    /// Returns one trial, even if it is a tombstone.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn trial(&self, run: &str, trial: &str) -> Result<Option<StoredObject>, MirrorError> {
        let (run, trial) = (run.to_owned(), trial.to_owned());
        self.read("read a trial", move |c| trials::get(c, &run, &trial))
            .await
    }

    /// Resolves a full id, an exact name or a prefix of an id to a run.
    ///
    /// A tombstone is found by its full id only.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn resolve_run(&self, kind: RunKind, input: &str) -> Result<Resolution, MirrorError> {
        let input = input.to_owned();
        self.read("look up a run", move |c| {
            resolve_id::resolve_run(c, kind, &input)
        })
        .await
    }

    /// Resolves a trial of a run in the same way.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn resolve_trial(&self, run: &str, input: &str) -> Result<Resolution, MirrorError> {
        let (run, input) = (run.to_owned(), input.to_owned());
        self.read("look up a trial", move |c| {
            resolve_id::resolve_trial(c, &run, &input)
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
        self.read("read a confirmation", move |c| {
            confirmations::read(c, &resource)
        })
        .await
    }

    /// Lists every status that was ever seen, including those of tombstones.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn seen_statuses(&self, scope: StatusScope) -> Result<Vec<String>, MirrorError> {
        self.read("list statuses", move |c| stats::seen_statuses(c, scope))
            .await
    }

    /// Returns the state from which the sync engine plans, with at most `limit` runs whose trials are due; with
    /// `since`, trials that were not confirmed since then are due, too.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn summary(
        &self,
        limit: usize,
        since: Option<UnixMs>,
    ) -> Result<Summary, MirrorError> {
        self.read_in(Lane::Engine, "read its summary", move |c| {
            summary::read(c, limit, since)
        })
        .await
    }

    /// Counts the evaluation runs whose trials are due, or were not confirmed since this time.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn runs_with_trials_due_since(&self, since: UnixMs) -> Result<u64, MirrorError> {
        self.read_in(Lane::Search, "count old lists of trials", move |c| {
            summary::runs_with_trials_due_since(c, since)
        })
        .await
    }

    /// Counts rows and bytes.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn stats(&self) -> Result<Stats, MirrorError> {
        let path = self.inner.path.clone();
        self.read_in(Lane::Engine, "count its rows", move |c| {
            let length =
                |suffix| std::fs::metadata(open::with_suffix(&path, suffix)).map_or(0, |m| m.len());
            Ok(Stats {
                rows: stats::row_counts(c)?,
                bytes: length("") + length("-wal"),
            })
        })
        .await
    }

    /// Returns what was kept when the file was last found to be damaged.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn last_rebuild(&self) -> Result<Option<MirrorRebuild>, MirrorError> {
        let note = self.read_note(open::REBUILT_NOTE).await?;
        Ok(note.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Returns a note; `None` when it was never written.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn read_note(&self, key: &str) -> Result<Option<String>, MirrorError> {
        let key = key.to_owned();
        self.read_in(Lane::Engine, "read a note", move |c| notes::read(c, &key))
            .await
    }

    /// Returns a note about an evaluation run.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn read_run_note(
        &self,
        topic: &str,
        run: &str,
    ) -> Result<Option<String>, MirrorError> {
        self.read_note(&notes::key_of_run(topic, run)).await
    }
}

/// Returns the lane of a list: other than the first rows in the usual order may take all rows.
fn lane_of(query: &ListQuery) -> Lane {
    let is_usual = !query.has_filters()
        && query.sort.is_none()
        && query.limit > 0
        && query.offset.saturating_add(query.limit) <= MOST_USUAL_ROWS;
    if is_usual { Lane::Client } else { Lane::Search }
}
