//! What a daemon does with a mirror, as steps that can be taken again on each disk.

use std::future::{Future, poll_fn};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;
use docksd_mirror::{Confirmation, Mirror, MirrorError, Provenance, Resource, Retention};
use rusqlite::{Connection, OpenFlags};
use tokio::time::timeout;

use crate::support::{IDENTITY, batch, body, everything, run_object};

/// No step takes this long, whatever fails: SQLite waits 5 s for a lock at most.
const DEADLINE: Duration = Duration::from_secs(60);

/// One step: the numbers of its runs or trials, their status and the time of the response.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Open,
    Runs(RunKind, Range<u32>, &'static str, i64),
    Trials(&'static str, Range<u32>, &'static str, i64),
    Trial(&'static str, u32, &'static str, i64),
    Confirmation(i64),
    Tombstone(u32, i64),
    Note(&'static str),
    /// Lists, trials and history, over the connections for reading.
    Read,
    Upkeep(i64),
    /// Another program rebuilds the file; docksd never does.
    Vacuum,
    /// Closes the mirror while these writes wait in its queue.
    CloseWhileWriting(Vec<Step>),
    Close,
}

impl Step {
    /// Returns the steps that this one consists of, each of which changes the file at once.
    pub(super) fn parts(&self) -> Vec<Step> {
        match self {
            Step::CloseWhileWriting(writes) => {
                let mut parts = writes.clone();
                parts.push(Step::Close);
                parts
            }
            step => vec![step.clone()],
        }
    }
}

/// Why a step failed.
#[derive(Debug)]
pub(super) struct StepFailure {
    /// Which of its parts were acknowledged.
    pub(super) acknowledged: Vec<bool>,
    pub(super) errors: Vec<MirrorError>,
}

impl From<MirrorError> for StepFailure {
    fn from(error: MirrorError) -> Self {
        Self {
            acknowledged: vec![false],
            errors: vec![error],
        }
    }
}

/// A mirror that takes steps; it is closed before the first one and after the last one.
pub(super) struct Session {
    path: PathBuf,
    mirror: Option<Mirror>,
    /// Whether a file was set aside when it was opened.
    pub(super) was_set_aside: bool,
    /// Whether the open mirror was ever called damaged.
    pub(super) was_called_damaged: bool,
}

impl Session {
    pub(super) fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            mirror: None,
            was_set_aside: false,
            was_called_damaged: false,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.mirror.is_some()
    }

    pub(super) async fn close_if_open(&mut self) -> Result<(), String> {
        match self.is_open() {
            true => self.take(&Step::Close).await?.map_err(|f| format!("{f:?}")),
            false => Ok(()),
        }
    }

    /// Takes a step. The outer error means that it hangs.
    pub(super) async fn take(&mut self, step: &Step) -> Result<Result<(), StepFailure>, String> {
        timeout(DEADLINE, self.take_unbounded(step))
            .await
            .map_err(|_| format!("{step:?} takes longer than {DEADLINE:?}"))
    }

    async fn take_unbounded(&mut self, step: &Step) -> Result<(), StepFailure> {
        match step {
            Step::Open => {
                let path = self.path.clone();
                let open = move || Mirror::open(&path, IDENTITY, UnixMs(1_000));
                let (mirror, report) = tokio::task::spawn_blocking(open).await.unwrap()?;
                self.was_set_aside |= report.set_aside.is_some();
                self.mirror = Some(mirror);
                Ok(())
            }
            Step::Vacuum => {
                let path = self.path.clone();
                tokio::task::spawn_blocking(move || vacuum(&path))
                    .await
                    .unwrap()
                    .map_err(|error| MirrorError::Commit(Arc::new(error)))?;
                Ok(())
            }
            Step::Close => {
                let mirror = self.mirror.take().expect("the mirror is open");
                self.close(mirror).await;
                Ok(())
            }
            Step::CloseWhileWriting(writes) => {
                let mirror = self.mirror.take().expect("the mirror is open");
                self.close_while_writing(mirror, writes).await
            }
            Step::Read => {
                self.read().await?;
                Ok(())
            }
            write => {
                let mirror = self.mirror.as_ref().expect("the mirror is open");
                let result = take_write(mirror, write).await;
                self.was_called_damaged |= *mirror.damage().borrow();
                Ok(result?)
            }
        }
    }

    async fn close(&mut self, mirror: Mirror) {
        let damage = mirror.damage();
        mirror.close().await;
        self.was_called_damaged |= *damage.borrow();
    }

    async fn close_while_writing(
        &mut self,
        mirror: Mirror,
        writes: &[Step],
    ) -> Result<(), StepFailure> {
        let mut waiting: Vec<Pin<Box<dyn Future<Output = _> + Send + '_>>> = Vec::new();
        for write in writes {
            let mirror = mirror.clone();
            waiting.push(Box::pin(async move { take_write(&mirror, write).await }));
        }
        // Each write enters the queue when it is first polled, so they are done in this order.
        let mut results: Vec<Option<Result<(), MirrorError>>> = Vec::new();
        for write in &mut waiting {
            let first = poll_fn(|context| match write.as_mut().poll(context) {
                Poll::Ready(result) => Poll::Ready(Some(result)),
                Poll::Pending => Poll::Ready(None),
            });
            results.push(first.await);
        }
        self.close(mirror).await;
        let mut acknowledged = Vec::new();
        let mut errors = Vec::new();
        for (write, result) in waiting.into_iter().zip(results) {
            let result = match result {
                Some(result) => result,
                None => write.await,
            };
            acknowledged.push(result.is_ok());
            errors.extend(result.err());
        }
        if errors.is_empty() {
            return Ok(());
        }
        Err(StepFailure {
            acknowledged,
            errors,
        })
    }

    /// Returns what clients are shown.
    pub(super) async fn read(&self) -> Result<String, MirrorError> {
        let mirror = self.mirror.as_ref().expect("the mirror is open");
        let mut parts = Vec::new();
        for kind in [RunKind::Evaluation, RunKind::Run] {
            parts.push(body(&mirror.list_runs(kind, &everything()).await?));
        }
        let trials = mirror.list_trials("r1", &everything()).await?;
        parts.extend(trials.as_ref().map(body));
        parts.push(format!("{:?}", mirror.events_after(0, 10_000).await?));
        Ok(parts.join("\n"))
    }

    /// Reads with a deadline; the outer error means that it hangs.
    pub(super) async fn try_read(&self) -> Result<Result<String, MirrorError>, String> {
        timeout(DEADLINE, self.read())
            .await
            .map_err(|_| format!("a read takes longer than {DEADLINE:?}"))
    }
}

async fn take_write(mirror: &Mirror, step: &Step) -> Result<(), MirrorError> {
    let object = |prefix: &str, number: u32, status: &str, at: i64| {
        let more = format!(
            r#","created_at":"2026-01-01T00:{:02}:{:02}Z","name":"n{number}","at":{at},"text":"{}""#,
            number / 60,
            number % 60,
            "x".repeat(300)
        );
        run_object(&format!("{prefix}{number}"), status, &more)
    };
    match step {
        Step::Runs(kind, numbers, status, at) => {
            let objects = numbers.clone().map(|n| object("r", n, status, *at));
            let runs = batch(*kind, *at, objects.collect());
            mirror.upsert_runs(runs).await.map(drop)
        }
        Step::Trials(run, numbers, status, at) => {
            let objects = numbers.clone().map(|n| object("t", n, status, *at));
            mirror
                .replace_trials(
                    run,
                    objects.collect(),
                    UnixMs(*at),
                    None,
                    Provenance::Polled,
                )
                .await
                .map(drop)
        }
        Step::Trial(run, number, status, at) => mirror
            .upsert_trial(
                run,
                object("t", *number, status, *at),
                UnixMs(*at),
                Provenance::Polled,
            )
            .await
            .map(drop),
        Step::Confirmation(at) => {
            let confirmation = Confirmation {
                at: UnixMs(*at),
                validator: None,
                complete: true,
            };
            let list = Resource::List(RunKind::Evaluation);
            mirror.record_confirmation(list, confirmation).await
        }
        Step::Tombstone(number, at) => {
            let id = format!("r{number}");
            mirror
                .tombstone_run(RunKind::Evaluation, &id, UnixMs(*at))
                .await
        }
        Step::Note(value) => mirror.write_note("k", value).await,
        Step::Upkeep(now) => mirror.run_upkeep(UnixMs(*now), Retention::default()).await,
        other => panic!("{other:?} is no write"),
    }
}

fn vacuum(path: &Path) -> rusqlite::Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
    Connection::open_with_flags(path, flags)?.execute_batch("VACUUM")
}
