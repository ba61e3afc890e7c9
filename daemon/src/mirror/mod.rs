//! The mirror: one SQLite file per remote.
//!
//! Owns the database: opening, migrating, writing in whole versions, and every
//! question that is answered from it. Leaves to [`crate::sync`] when to write.
//! Only the sync engine calls the writing half.

mod all_trials;
mod error;
mod event;
mod judge;
mod list;
mod list_parts;
mod look;
mod open;
mod position;
mod present;
mod readers;
mod resolve;
mod run;
mod seen;
mod summary;
mod sweep;
mod trial;
mod trial_rows;
mod trial_words;
mod types;
mod upkeep;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use docks_proto::event::{EventQuery, Progress};
use docks_proto::object::RawObject;
use docks_proto::query::ListQuery;
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;
use rusqlite::Connection;
use tokio::sync::watch;

pub use error::MirrorError;
pub use event::admits;
pub use types::*;

use crate::remote::Validator;
use readers::Readers;
use writer::{Desk, Footing, Writer};

/// Handle to one mirror; clones share it.
#[derive(Debug, Clone)]
pub struct Mirror {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    // Dropped before the writer, whose connection, as the last one, empties the WAL.
    readers: Readers,
    writer: Writer,
    damaged: watch::Sender<bool>,
}

/// Returns the release of the linked SQLite.
#[must_use]
pub fn sqlite_version() -> &'static str {
    rusqlite::version()
}

impl Mirror {
    /// Opens the mirror of the remote `identity` at `path`, or makes it. Blocks.
    ///
    /// A damaged file is moved aside, which `Opened` says, and mirroring begins anew.
    ///
    /// # Errors
    ///
    /// [`MirrorError::TooNew`] for a newer release's file, [`MirrorError::OtherRemote`]
    /// for another remote's, and what the system says about the path.
    pub fn open(path: &Path, identity: &str, now: UnixMs) -> Result<(Mirror, Opened), MirrorError> {
        let (connection, opened) = open::open_writer(path, identity, now)?;
        let readers = Readers::new(path.to_owned())?;
        let writer = Writer::spawn(connection).map_err(|source| MirrorError::Prepare {
            path: path.to_owned(),
            source,
        })?;
        let inner = Inner {
            path: path.to_owned(),
            readers,
            writer,
            damaged: watch::Sender::new(false),
        };
        Ok((
            Mirror {
                inner: Arc::new(inner),
            },
            opened,
        ))
    }

    /// Returns the path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Moves the closed file at `path` aside with its WAL, and returns where it is. Blocks.
    ///
    /// # Errors
    ///
    /// [`MirrorError::Prepare`] when the system refuses.
    pub fn set_aside(path: &Path, now: UnixMs) -> Result<PathBuf, MirrorError> {
        open::set_aside(path, now)
    }

    /// Becomes true when a question or a write found the file damaged.
    #[must_use]
    pub fn damage(&self) -> watch::Receiver<bool> {
        self.inner.damaged.subscribe()
    }

    fn watched<T>(&self, result: Result<T, MirrorError>) -> Result<T, MirrorError> {
        if result.as_ref().is_err_and(MirrorError::is_corrupt) {
            self.inner.damaged.send_replace(true);
        }
        result
    }

    /// Returns a number that grows with every commit that readers can see.
    ///
    /// An answer that was asked for after reading it is at least of this version.
    #[must_use]
    pub fn data_version(&self) -> u64 {
        self.inner.writer.version()
    }

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
        self.read("list runs", move |c| list::runs(c, kind, &query))
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
        self.read("list trials", move |c| list::trials(c, &run, &query))
            .await
    }

    /// Lists the trials of all evaluation runs, each marked with its run.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn list_all_trials(&self, query: &ListQuery) -> Result<Listing, MirrorError> {
        let query = query.clone();
        let question = move |c: &Connection| all_trials::list(c, &query);
        self.read("list all trials", question).await
    }

    /// Lists evaluation runs whose trials may be others than those mirrored, newest first: at
    /// most `most` that have not ended, and as many whose trials are due.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn loose_runs(&self, most: usize) -> Result<Vec<LooseRun>, MirrorError> {
        self.read("list runs with trials to come", move |c| {
            all_trials::loose_runs(c, most)
        })
        .await
    }

    /// Returns one run, also a tombstone.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn run(&self, kind: RunKind, id: &str) -> Result<Option<Stored>, MirrorError> {
        let id = id.to_owned();
        self.read("read a run", move |c| run::get(c, kind, &id))
            .await
    }

    /// Returns one trial, also a tombstone.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn trial(&self, run: &str, trial: &str) -> Result<Option<Stored>, MirrorError> {
        let (run, trial) = (run.to_owned(), trial.to_owned());
        self.read("read a trial", move |c| trial::get(c, &run, &trial))
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
        self.read("look up a run", move |c| resolve::run(c, kind, &given))
            .await
    }

    /// Finds the trial of a run in the same way.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn resolve_trial(&self, run: &str, given: &str) -> Result<Resolution, MirrorError> {
        let (run, given) = (run.to_owned(), given.to_owned());
        self.read("look up a trial", move |c| resolve::trial(c, &run, &given))
            .await
    }

    /// Returns when a resource was last confirmed; `None` when it never was.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn confirmed(&self, resource: &Resource) -> Result<Option<Confirmed>, MirrorError> {
        let resource = resource.clone();
        self.read("read an age", move |c| seen::confirmed(c, &resource))
            .await
    }

    /// Lists every status that was ever seen.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn seen_statuses(&self, of: StatusOf) -> Result<Vec<String>, MirrorError> {
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
    pub async fn events(&self, after: u64, most: usize) -> Result<Vec<StatusEvent>, MirrorError> {
        self.read("read the history", move |c| event::after(c, after, most))
            .await
    }

    /// Reads at most `most` changes after number `from`, and returns those that were asked for.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn scan(
        &self,
        from: u64,
        most: usize,
        wanted: &EventQuery,
    ) -> Result<Scan, MirrorError> {
        let wanted = wanted.clone();
        self.read("read the history", move |c| {
            event::scan(c, from, most, &wanted)
        })
        .await
    }

    /// Returns the present state of what was asked for.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn present(&self, wanted: &EventQuery) -> Result<Present, MirrorError> {
        let wanted = wanted.clone();
        self.read("read the present state", move |c| present::read(c, &wanted))
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
                all.extend(present::progress(c, run)?);
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
    pub async fn history(
        &self,
        kind: RunKind,
        run: &str,
        trial: Option<&str>,
        most: usize,
    ) -> Result<(Vec<StatusEvent>, Vec<Look>), MirrorError> {
        let (run, trial) = (run.to_owned(), trial.map(str::to_owned));
        self.read("read the history of a run", move |c| {
            let mut events = event::of_run(c, &run, trial.as_deref(), most)?;
            // A jobs directory knows a job under both kinds, by the same id.
            let of_kind = |e: &StatusEvent| e.subject == Subject::Run(kind);
            events.retain(|e| trial.is_some() || of_kind(e));
            let looks = look::of_run(c, kind, &run, trial.is_some())?;
            Ok((events, looks))
        })
        .await
    }

    /// Returns the newest `most` changes between two times, oldest first.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn changes(
        &self,
        since: UnixMs,
        until: UnixMs,
        wanted: &EventQuery,
        most: usize,
    ) -> Result<Vec<Told>, MirrorError> {
        let wanted = wanted.clone();
        self.read("read what changed", move |c| {
            event::between(c, since, until, &wanted, most)
        })
        .await
    }

    /// Wakes up after each commit that readers can see.
    #[must_use]
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.inner.writer.commits()
    }

    /// Returns a note.
    ///
    /// # Errors
    ///
    /// As [`Mirror::list_runs`].
    pub async fn note(&self, key: &str) -> Result<Option<String>, MirrorError> {
        let key = key.to_owned();
        self.read("read a note", move |c| upkeep::note(c, &key))
            .await
    }

    /// Writes runs that arrived together, with their history, in one transaction.
    ///
    /// # Errors
    ///
    /// [`MirrorError`] when nothing was written; so for all that write.
    pub async fn put_runs(&self, batch: RunBatch) -> Result<Changed, MirrorError> {
        self.write("store runs", move |desk| {
            run::put(&desk.connection, &mut desk.sweeps, &batch)
        })
        .await
    }

    /// Writes the whole list of a run's trials as one version.
    ///
    /// Those missing from it become tombstones; but an empty list for a run that has
    /// trials changes nothing, and `Changed.suspicious` says so.
    ///
    /// # Errors
    ///
    /// As [`Mirror::put_runs`].
    pub async fn put_trials(
        &self,
        run: &str,
        objects: Vec<RawObject>,
        at: UnixMs,
        validator: Option<Validator>,
        learned: Learned,
    ) -> Result<Changed, MirrorError> {
        let batch = trial::TrialBatch::new(run, objects, at, learned);
        self.write("store trials", move |desk| {
            trial::put_all(&desk.connection, batch, validator.as_ref())
        })
        .await
    }

    /// Writes one trial.
    ///
    /// # Errors
    ///
    /// As [`Mirror::put_runs`].
    pub async fn put_trial(
        &self,
        run: &str,
        object: RawObject,
        at: UnixMs,
        learned: Learned,
    ) -> Result<Changed, MirrorError> {
        let batch = trial::TrialBatch::new(run, vec![object], at, learned);
        self.write("store a trial", move |desk| {
            trial::put_one(&desk.connection, batch)
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
    /// As [`Mirror::put_runs`].
    pub async fn confirm(
        &self,
        resource: Resource,
        confirmed: Confirmed,
    ) -> Result<(), MirrorError> {
        self.write("store an age", move |desk| {
            seen::confirm(&desk.connection, &resource, &confirmed)
        })
        .await
    }

    /// Begins a sweep of a list and returns its number.
    ///
    /// # Errors
    ///
    /// As [`Mirror::put_runs`].
    pub async fn begin_sweep(&self, kind: RunKind) -> Result<u64, MirrorError> {
        self.write("begin a sweep", move |desk| Ok(desk.sweeps.begin(kind)))
            .await
    }

    /// Lists the live runs that no answer showed since the sweep began, newest first.
    ///
    /// # Errors
    ///
    /// [`MirrorError::NoSuchSweep`] when a newer one of the kind began.
    pub async fn unseen(&self, kind: RunKind, sweep: u64) -> Result<Vec<String>, MirrorError> {
        let work = move |desk: &mut Desk| desk.sweeps.unseen(&desk.connection, kind, sweep);
        let writer = &self.inner.writer;
        writer
            .run(
                Footing::Transaction,
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
    /// As [`Mirror::put_runs`].
    pub async fn entomb(&self, kind: RunKind, id: &str, at: UnixMs) -> Result<(), MirrorError> {
        let id = id.to_owned();
        self.write("make a tombstone", move |desk| {
            sweep::entomb(&desk.connection, kind, &id, at)
        })
        .await
    }

    /// Writes a note.
    ///
    /// # Errors
    ///
    /// As [`Mirror::put_runs`].
    pub async fn put_note(&self, key: &str, value: &str) -> Result<(), MirrorError> {
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
    /// As [`Mirror::put_runs`].
    pub async fn upkeep(&self, now: UnixMs, retention: Retention) -> Result<(), MirrorError> {
        let doing = "look after the file";
        let work = move |desk: &mut Desk| {
            upkeep::run(&desk.connection, now, retention).map_err(MirrorError::during(doing))
        };
        self.watched(self.inner.writer.run(Footing::Alone, doing, work).await)
    }

    /// Finishes what is queued and closes the file; other clones get [`MirrorError::Closed`].
    pub async fn close(self) {
        self.inner.readers.close().await;
        self.inner.writer.close().await;
    }

    async fn read<T, F>(&self, doing: &'static str, question: F) -> Result<T, MirrorError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.watched(self.inner.readers.ask(doing, |t| question(t)).await)
    }

    async fn write<T, F>(&self, doing: &'static str, work: F) -> Result<T, MirrorError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Desk) -> rusqlite::Result<T> + Send + 'static,
    {
        let work = move |desk: &mut Desk| work(desk).map_err(MirrorError::during(doing));
        let written = self.inner.writer.run(Footing::Transaction, doing, work);
        self.watched(written.await)
    }
}
