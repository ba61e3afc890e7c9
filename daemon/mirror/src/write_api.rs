//! Everything that is written into a mirror, each in one transaction on the one thread that writes.

use docks_proto::object::RawObject;
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;

use crate::writer::{TransactionMode, WriterContext};
use crate::{
    Confirmation, Mirror, MirrorError, Provenance, Resource, Retention, RunBatch, WriteSummary,
    confirmations, runs, sweeps, trials, upkeep,
};
use docks_proto::freshness::Validator;

impl Mirror {
    /// Writes runs that arrived together, with their history, in one transaction.
    ///
    /// # Errors
    ///
    /// [`MirrorError`] when nothing was written; so for all that write.
    pub async fn upsert_runs(&self, batch: RunBatch) -> Result<WriteSummary, MirrorError> {
        self.write_many(batch.objects.len(), "store runs", move |desk| {
            runs::put(&desk.connection, &mut desk.sweeps, &batch)
        })
        .await
    }

    /// Writes the whole list of a run's trials as one version.
    ///
    /// Those missing from it become tombstones; but an empty list for a run that has
    /// trials changes nothing, and `WriteSummary.suspicious` says so.
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
        learned: Provenance,
    ) -> Result<WriteSummary, MirrorError> {
        let rows = objects.len();
        let batch = trials::write::TrialBatch::new(run, objects, at, learned);
        self.write_many(rows, "store trials", move |desk| {
            trials::write::put_all(&desk.connection, batch, validator.as_ref())
        })
        .await
    }

    /// Writes one trial.
    ///
    /// # Errors
    ///
    /// As [`Mirror::upsert_runs`].
    pub async fn upsert_trial(
        &self,
        run: &str,
        object: RawObject,
        at: UnixMs,
        learned: Provenance,
    ) -> Result<WriteSummary, MirrorError> {
        let batch = trials::write::TrialBatch::new(run, vec![object], at, learned);
        self.write("store a trial", move |desk| {
            trials::write::put_one(&desk.connection, batch)
        })
        .await
    }

    /// Stores that the remote confirmed a resource; an older confirmation changes nothing.
    ///
    /// For a list whose validator is the stored one ("as before"), the runs of the
    /// answer it stands for are confirmed too.
    ///
    /// # Errors
    ///
    /// As [`Mirror::upsert_runs`].
    pub async fn record_confirmation(
        &self,
        resource: Resource,
        confirmed: Confirmation,
    ) -> Result<(), MirrorError> {
        self.write("store an age", move |desk| {
            confirmations::confirm(&desk.connection, &resource, &confirmed)
        })
        .await
    }

    /// Begins a sweep of a list and returns its number.
    ///
    /// # Errors
    ///
    /// As [`Mirror::upsert_runs`].
    pub async fn begin_sweep(&self, kind: RunKind) -> Result<u64, MirrorError> {
        self.write("begin a sweep", move |desk| Ok(desk.sweeps.begin(kind)))
            .await
    }

    /// Lists the live runs that no answer showed since the sweep began, newest first.
    ///
    /// # Errors
    ///
    /// [`MirrorError::NoSuchSweep`] when a newer one of the kind began.
    pub async fn runs_missed_by_sweep(
        &self,
        kind: RunKind,
        sweep: u64,
    ) -> Result<Vec<String>, MirrorError> {
        let work =
            move |desk: &mut WriterContext| desk.sweeps.unseen(&desk.connection, kind, sweep);
        let writer = &self.inner.writer;
        writer
            .run(
                TransactionMode::Transaction,
                "list the runs that a sweep missed",
                work,
            )
            .await
    }

    /// Makes a tombstone of a run that the remote was proved to have no more.
    ///
    /// Nothing happens when an answer to a request after `at` showed it; a later
    /// sighting revives it.
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
        self.write("make a tombstone", move |desk| {
            sweeps::entomb(&desk.connection, kind, &id, at)
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
        self.write("write a note", move |desk| {
            upkeep::put_note(&desk.connection, &key, &value)
        })
        .await
    }

    /// Drops old history and tombstones, refreshes statistics, empties the WAL.
    ///
    /// # Errors
    ///
    /// As [`Mirror::upsert_runs`].
    pub async fn run_upkeep(&self, now: UnixMs, retention: Retention) -> Result<(), MirrorError> {
        let doing = "look after the file";
        let work = move |desk: &mut WriterContext| {
            upkeep::run(&desk.connection, now, retention).map_err(MirrorError::during(doing))
        };
        self.watched(
            self.inner
                .writer
                .run(TransactionMode::Alone, doing, work)
                .await,
        )
    }
}
