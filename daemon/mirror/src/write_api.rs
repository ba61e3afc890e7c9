//! Every write to a mirror, each in one transaction on the one thread that writes.

use std::time::Duration;

use docks_proto::freshness::Validator;
use docks_proto::object::RawObject;
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;
use docks_proto::trial_changes::TrialChanges;

use crate::error::MirrorError;
use crate::provenance::Provenance;
use crate::resource::{Confirmation, Resource};
use crate::runs::{self, RunBatch};
use crate::trials::{self, ChangeBatch, TrialBatch};
use crate::upkeep::{self, Retention};
use crate::write_summary::WriteSummary;
use crate::writer::{TransactionMode, WriterContext};
use crate::{Mirror, confirmations, notes, sweeps, timestamps};

impl Mirror {
    /// Inserts or updates runs that arrived together, with their history, in one transaction.
    ///
    /// # Errors
    ///
    /// [`MirrorError`] when nothing was written; the same holds for every other write.
    pub async fn upsert_runs(&self, batch: RunBatch) -> Result<WriteSummary, MirrorError> {
        self.write_rows(batch.objects.len(), "store runs", move |context| {
            let WriterContext {
                connection,
                sweeps,
                renames,
            } = context;
            runs::upsert(connection, sweeps, renames, &batch)
        })
        .await
    }

    /// Replaces the whole list of a run's trials by one version.
    ///
    /// Trials missing from it become tombstones. But an empty list for a run that has
    /// trials changes nothing, and sets [`WriteSummary::ignored_empty_list`].
    ///
    /// `at` is when the request began.
    ///
    /// # Errors
    ///
    /// As [`Mirror::upsert_runs`].
    pub async fn replace_trials(
        &self,
        run: &str,
        objects: Vec<RawObject>,
        at: UnixMs,
        validator: Option<Validator>,
        provenance: Provenance,
    ) -> Result<WriteSummary, MirrorError> {
        let rows = objects.len();
        let mut batch = TrialBatch::from_objects(run, objects, at, provenance);
        self.write_rows(rows, "store trials", move |context| {
            context.use_current_id(&mut batch.run)?;
            trials::replace_all(&context.connection, batch, validator.as_ref())
        })
        .await
    }

    /// Applies changes to the list of a run's trials that they begin with; `validator` stands for the outcome.
    ///
    /// Changes nothing and sets [`WriteSummary::has_other_base`] if another version of the list is stored, or none.
    ///
    /// # Errors
    ///
    /// As [`Mirror::upsert_runs`].
    pub async fn change_trials(
        &self,
        run: &str,
        changes: TrialChanges,
        at: UnixMs,
        validator: Validator,
        provenance: Provenance,
    ) -> Result<WriteSummary, MirrorError> {
        let rows = changes.changed.len() + changes.removed.len();
        let mut changes = ChangeBatch::from_changes(run, changes, at, provenance);
        self.write_rows(rows, "store changed trials", move |context| {
            context.use_current_id(&mut changes.batch.run)?;
            trials::apply_changes(&context.connection, changes, &validator)
        })
        .await
    }

    /// Inserts or updates one trial; `at` is when the request began.
    ///
    /// # Errors
    ///
    /// As [`Mirror::upsert_runs`].
    pub async fn upsert_trial(
        &self,
        run: &str,
        object: RawObject,
        at: UnixMs,
        provenance: Provenance,
    ) -> Result<WriteSummary, MirrorError> {
        let mut batch = TrialBatch::from_objects(run, vec![object], at, provenance);
        self.write("store a trial", move |context| {
            context.use_current_id(&mut batch.run)?;
            trials::upsert_one(&context.connection, batch)
        })
        .await
    }

    /// Records that the remote confirmed a resource; an older confirmation changes nothing.
    ///
    /// For a list whose validator is the stored one ("not modified"), the runs of the
    /// response that the validator came with are confirmed too.
    ///
    /// # Errors
    ///
    /// As [`Mirror::upsert_runs`].
    pub async fn record_confirmation(
        &self,
        mut resource: Resource,
        confirmation: Confirmation,
    ) -> Result<(), MirrorError> {
        self.write("store a confirmation", move |context| {
            if let Resource::Run(_, id) | Resource::Trials(id) = &mut resource {
                context.use_current_id(id)?;
            }
            confirmations::record(&context.connection, &resource, &confirmation)
        })
        .await
    }

    /// Begins a sweep of a list and returns its number.
    ///
    /// # Errors
    ///
    /// As [`Mirror::upsert_runs`].
    pub async fn begin_sweep(&self, kind: RunKind) -> Result<u64, MirrorError> {
        self.write("begin a sweep", move |context| {
            Ok(context.sweeps.begin(kind))
        })
        .await
    }

    /// Lists the live runs that no response showed since the sweep began, newest first.
    ///
    /// # Errors
    ///
    /// [`MirrorError::NoSuchSweep`] when a newer sweep of the kind began.
    pub async fn runs_missed_by_sweep(
        &self,
        kind: RunKind,
        sweep: u64,
    ) -> Result<Vec<String>, MirrorError> {
        let work = move |context: &mut WriterContext| {
            context.sweeps.missed_runs(&context.connection, kind, sweep)
        };
        let doing = "list the runs that a sweep missed";
        let writer = &self.inner.writer;
        writer.run(TransactionMode::Shared, doing, work).await
    }

    /// Turns a run that the remote was found to have deleted into a tombstone.
    ///
    /// Does nothing if the response to a request after `at` showed the run; a later
    /// response that shows it revives it.
    ///
    /// # Errors
    ///
    /// As [`Mirror::upsert_runs`].
    pub async fn tombstone_run(
        &self,
        kind: RunKind,
        id: &str,
        at: UnixMs,
    ) -> Result<(), MirrorError> {
        let id = id.to_owned();
        self.write("mark a run as deleted", move |context| {
            sweeps::tombstone(&context.connection, kind, &id, at)
        })
        .await
    }

    /// Writes a note.
    ///
    /// # Errors
    ///
    /// As [`Mirror::upsert_runs`].
    pub async fn write_note(&self, key: &str, value: &str) -> Result<(), MirrorError> {
        let (key, value) = (key.to_owned(), value.to_owned());
        self.write("write a note", move |context| {
            notes::write(&context.connection, &key, &value)
        })
        .await
    }

    /// Writes a note about an evaluation run, which follows the run when it gets another id. `topic` is what the note is
    /// about besides.
    ///
    /// # Errors
    ///
    /// As [`Mirror::upsert_runs`].
    pub async fn write_run_note(
        &self,
        topic: &str,
        run: &str,
        value: &str,
    ) -> Result<(), MirrorError> {
        let (topic, mut run, value) = (topic.to_owned(), run.to_owned(), value.to_owned());
        self.write("write a note about a run", move |context| {
            context.use_current_id(&mut run)?;
            let key = notes::key_of_run(&topic, &run);
            notes::write(&context.connection, &key, &value)
        })
        .await
    }

    /// Replaces timestamps after `now`, which a wrong clock left behind, unless the mirror was in use
    /// within `gap` after `now`, and so shows that `now` is wrong. Returns whether it did.
    ///
    /// # Errors
    ///
    /// As [`Mirror::upsert_runs`].
    pub async fn replace_later_timestamps(
        &self,
        now: UnixMs,
        gap: Duration,
    ) -> Result<bool, MirrorError> {
        let doing = "replace timestamps of a wrong clock";
        let work = move |context: &mut WriterContext| {
            timestamps::redate(&context.connection, now, gap).map_err(MirrorError::during(doing))
        };
        let writer = &self.inner.writer;
        self.check_for_damage(writer.run(TransactionMode::Own, doing, work).await)
    }

    /// Deletes old history and tombstones, refreshes statistics and empties the WAL.
    ///
    /// # Errors
    ///
    /// As [`Mirror::upsert_runs`].
    pub async fn run_upkeep(&self, now: UnixMs, retention: Retention) -> Result<(), MirrorError> {
        let doing = "run its upkeep";
        let work = move |context: &mut WriterContext| {
            upkeep::run(&context.connection, now, retention).map_err(MirrorError::during(doing))
        };
        let writer = &self.inner.writer;
        self.check_for_damage(writer.run(TransactionMode::None, doing, work).await)
    }
}
