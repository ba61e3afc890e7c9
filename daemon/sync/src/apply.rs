//! Carries one task out: asks the remote, writes the mirror. Killed anywhere, doing it
//! again is harmless.

use std::sync::Arc;

use docks_proto::object::{Lifecycle, RawObject, RunFields, lifecycle};
use docks_proto::paging::{PageRequest, PageSummary};
use docks_proto::query::ListQuery;
use docks_proto::routes::{Action, RunKind};
use docks_proto::time::UnixMs;

use docksd_mirror::{
    Confirmation, Mirror, MirrorError, Provenance, Resource, RunBatch, StatusScope, WriteSummary,
};
use docksd_remote::{FaultClass, Fetched, Page, Remote, RemoteError, Validator};

use super::capabilities::NOTE;
use super::task::{Answer, Head, Outcome, Step, SyncError, Task};

/// Returns the key of the note that says when a list was last swept.
#[must_use]
pub fn last_sweep_note_key(kind: RunKind) -> String {
    format!("swept-{}", kind.name())
}

/// Carries `step` out; `arrived` reads the time when an answer is there.
pub async fn carry_out(
    remote: &dyn Remote,
    mirror: &Mirror,
    step: &Step,
    arrived: impl Fn() -> UnixMs,
) -> Outcome {
    let mut work = Work {
        remote,
        mirror,
        at: step.began.stamp,
        requests: 0,
        not_modified: 0,
        changed: false,
        contradicts: false,
    };
    let answer = work.task(&step.task, arrived).await;
    Outcome {
        answer,
        requests: work.requests,
        not_modified: work.not_modified,
        changed: work.changed,
        contradicts: work.contradicts,
    }
}

struct Work<'a> {
    remote: &'a dyn Remote,
    mirror: &'a Mirror,
    at: UnixMs,
    requests: u64,
    not_modified: u64,
    changed: bool,
    contradicts: bool,
}

impl Work<'_> {
    async fn task(
        &mut self,
        task: &Task,
        arrived: impl Fn() -> UnixMs,
    ) -> Result<Answer, SyncError> {
        match task {
            Task::Head {
                kind,
                pages,
                last,
                confirms,
                doubts_empty,
            } => {
                self.head(*kind, pages, last.as_ref(), *confirms, *doubts_empty)
                    .await
            }
            Task::SweepPage { kind, sweep, page } => self.sweep_page(*kind, *sweep, page).await,
            Task::Unseen { kind, sweep } => Ok(Answer::Unseen(
                self.mirror.runs_missed_by_sweep(*kind, *sweep).await?,
            )),
            Task::Prove { kind, id, .. } => self.prove(*kind, id).await,
            Task::SweepEnd {
                kind,
                confirmed,
                whole,
            } => self.sweep_end(*kind, *confirmed, *whole).await,
            Task::Run { kind, id } => self.run(*kind, id).await,
            Task::Trials {
                run,
                believes_empty,
            } => self.trials(run, *believes_empty).await,
            Task::Trial { run, trial } => self.trial(run, trial).await,
            Task::TakeChanges => self.news().await,
            Task::Act { action, id, kill } => self.act(*action, id, *kill, arrived).await,
            Task::Note { capabilities } => {
                self.mirror.write_note(NOTE, capabilities).await?;
                Ok(Answer::Done)
            }
        }
    }

    async fn put(&mut self, kind: RunKind, objects: Vec<RawObject>) -> Result<(), MirrorError> {
        self.put_batch(RunBatch {
            kind,
            objects,
            observed_at: self.at,
            provenance: Provenance::Polled,
        })
        .await
    }

    async fn put_batch(&mut self, batch: RunBatch) -> Result<(), MirrorError> {
        let changed = self.mirror.upsert_runs(batch).await?;
        self.note(changed);
        Ok(())
    }

    /// Stores what the remote tells by itself: each run with its trials, then what is gone.
    async fn news(&mut self) -> Result<Answer, SyncError> {
        self.requests += 1;
        let news = self.remote.take_changes().await?;
        let mut runs = Vec::new();
        for whole in news.runs {
            for (kind, object) in [
                (RunKind::Run, whole.run),
                (RunKind::Evaluation, whole.evaluation),
            ] {
                self.put_batch(RunBatch {
                    kind,
                    objects: vec![object],
                    observed_at: self.at,
                    provenance: Provenance::Event,
                })
                .await?;
            }
            let validator = Some(whole.validator);
            let trials = whole.trials.objects;
            let put = self
                .mirror
                .replace_trials(&whole.id, trials, self.at, validator, Provenance::Event)
                .await?;
            self.note(put);
            runs.push(whole.id);
        }
        for id in &news.gone {
            for kind in RunKind::ALL {
                self.mirror.tombstone_run(kind, id, self.at).await?;
            }
            self.changed = true;
        }
        Ok(Answer::Changes { runs })
    }

    fn note(&mut self, changed: WriteSummary) {
        self.changed |= changed.inserted + changed.updated + changed.removed > 0;
    }

    async fn list(
        &mut self,
        kind: RunKind,
        page: &PageRequest,
        validator: Option<&Validator>,
    ) -> Result<Fetched<Page>, RemoteError> {
        self.requests += 1;
        self.remote.list(kind, page, validator).await
    }

    async fn head(
        &mut self,
        kind: RunKind,
        pages: &[PageRequest],
        last: Option<&Head>,
        confirms: Option<bool>,
        doubts_empty: bool,
    ) -> Result<Answer, SyncError> {
        let mut facts = Vec::new();
        let mut keep = None;
        for request in pages {
            let validator = last.map(|head| &head.validator);
            let (objects, next_cursor) = match self.list(kind, request, validator).await? {
                Fetched::NotModified => {
                    self.not_modified += 1;
                    let Some(head) = last else {
                        return Err(unasked());
                    };
                    keep = Some(head.clone());
                    ((*head.objects).clone(), None)
                }
                Fetched::New { value, validator } => {
                    if let (1, Some(validator)) = (pages.len(), validator) {
                        keep = Some(Head {
                            page: request.clone(),
                            validator,
                            objects: Arc::new(value.objects.clone()),
                        });
                    }
                    (value.objects, value.next_cursor)
                }
            };
            facts.push(PageSummary::from_objects(&objects, next_cursor));
            if objects.is_empty() && facts.len() == 1 && doubts_empty {
                return Ok(Answer::Head {
                    pages: facts,
                    keep: None,
                    doubtful: true,
                });
            }
            let last_page = objects.is_empty();
            self.put(kind, objects).await?;
            if last_page {
                break;
            }
        }
        if let Some(whole) = confirms {
            self.confirm(Resource::List(kind), None, whole).await?;
        }
        Ok(Answer::Head {
            pages: facts,
            keep,
            doubtful: false,
        })
    }

    async fn confirm(
        &self,
        resource: Resource,
        validator: Option<Validator>,
        whole: bool,
    ) -> Result<(), MirrorError> {
        let confirmed = Confirmation {
            at: self.at,
            validator,
            complete: whole,
        };
        self.mirror.record_confirmation(resource, confirmed).await
    }

    async fn sweep_page(
        &mut self,
        kind: RunKind,
        sweep: Option<u64>,
        page: &PageRequest,
    ) -> Result<Answer, SyncError> {
        // Begun before the request: what is written meanwhile counts as seen.
        let sweep = match sweep {
            Some(sweep) => sweep,
            None => self.mirror.begin_sweep(kind).await?,
        };
        let Fetched::New { value, .. } = self.list(kind, page, None).await? else {
            return Err(unasked());
        };
        let facts = PageSummary::from_objects(&value.objects, value.next_cursor);
        self.put(kind, value.objects).await?;
        Ok(Answer::Page { sweep, page: facts })
    }

    async fn prove(&mut self, kind: RunKind, id: &str) -> Result<Answer, SyncError> {
        self.requests += 1;
        match self.remote.run(kind, id, None).await {
            Ok(Fetched::New { value, .. }) => {
                self.put(kind, vec![value]).await?;
                Ok(Answer::Proved { gone: false })
            }
            Ok(Fetched::NotModified) => Err(unasked()),
            Err(error) if error.class() == FaultClass::NotFound => {
                self.mirror.tombstone_run(kind, id, self.at).await?;
                self.changed = true;
                Ok(Answer::Proved { gone: true })
            }
            // No id that can be asked for: it cannot be proved, and so stays.
            Err(error) if error.class() == FaultClass::Rejected => {
                Ok(Answer::Proved { gone: false })
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn sweep_end(
        &mut self,
        kind: RunKind,
        confirmed: UnixMs,
        whole: bool,
    ) -> Result<Answer, SyncError> {
        let confirmed = Confirmation {
            at: confirmed,
            validator: None,
            complete: whole,
        };
        self.mirror
            .record_confirmation(Resource::List(kind), confirmed)
            .await?;
        let at = self.at.0.to_string();
        self.mirror
            .write_note(&last_sweep_note_key(kind), &at)
            .await?;
        self.changed = true;
        Ok(Answer::Done)
    }

    async fn run(&mut self, kind: RunKind, id: &str) -> Result<Answer, SyncError> {
        let resource = Resource::Run(kind, id.to_owned());
        let held = self.mirror.run(kind, id).await?;
        let live = held.is_some_and(|stored| stored.gone_at.is_none());
        let known = self.mirror.confirmation(&resource).await?;
        let validator = known.and_then(|c| c.validator).filter(|_| live);
        self.requests += 1;
        match self.remote.run(kind, id, validator.as_ref()).await {
            Ok(Fetched::NotModified) => {
                self.not_modified += 1;
                self.confirm(resource, validator, true).await?;
            }
            Ok(Fetched::New { value, validator }) => {
                if !names(&value, id) {
                    return Err(RemoteError::WrongRun { id: id.to_owned() }.into());
                }
                self.put(kind, vec![value]).await?;
                if validator.is_some() {
                    self.confirm(resource, validator, true).await?;
                }
            }
            Err(error) => {
                self.contradicts = live && error.class() == FaultClass::NotFound;
                return Err(error.into());
            }
        }
        Ok(Answer::Stored {
            doubtful: false,
            open: false,
        })
    }

    async fn trials(&mut self, run: &str, believes_empty: bool) -> Result<Answer, SyncError> {
        let resource = Resource::Trials(run.to_owned());
        let known = self.mirror.confirmation(&resource).await?;
        let validator = known.and_then(|c| c.validator);
        self.requests += 1;
        let (page, fresh) = match self.remote.trials(run, validator.as_ref()).await {
            Ok(Fetched::NotModified) => {
                self.not_modified += 1;
                self.confirm(resource, validator, true).await?;
                return Ok(Answer::Stored {
                    doubtful: false,
                    open: self.holds_open(run).await?,
                });
            }
            Ok(Fetched::New { value, validator }) => (value, validator),
            Err(error) => {
                if error.class() == FaultClass::NotFound {
                    let held = self.mirror.run(RunKind::Evaluation, run).await?;
                    self.contradicts = held.is_some_and(|stored| stored.gone_at.is_none());
                }
                return Err(error.into());
            }
        };
        let changed = self
            .mirror
            .replace_trials(run, page.objects, self.at, fresh, Provenance::Polled)
            .await?;
        self.note(changed);
        if changed.ignored_empty_list && believes_empty {
            self.confirm(resource, None, true).await?;
        }
        Ok(Answer::Stored {
            doubtful: changed.ignored_empty_list && !believes_empty,
            open: changed.active > 0,
        })
    }

    /// Tells whether the mirror holds trials of the run that have not ended.
    async fn holds_open(&self, run: &str) -> Result<bool, MirrorError> {
        let seen = self.mirror.seen_statuses(StatusScope::Trials).await?;
        let open = ListQuery {
            limit: 1,
            status: seen
                .into_iter()
                .filter(|status| lifecycle(status) == Lifecycle::Active)
                .collect(),
            ..ListQuery::default()
        };
        if open.status.is_empty() {
            return Ok(false);
        }
        let listing = self.mirror.list_trials(run, &open).await?;
        Ok(listing.is_some_and(|listing| listing.total > 0))
    }

    async fn trial(&mut self, run: &str, trial: &str) -> Result<Answer, SyncError> {
        self.requests += 1;
        let object = self.remote.trial(run, trial).await?;
        let changed = self
            .mirror
            .upsert_trial(run, object, self.at, Provenance::Polled)
            .await?;
        self.note(changed);
        Ok(Answer::Stored {
            doubtful: false,
            open: false,
        })
    }

    async fn act(
        &mut self,
        action: Action,
        id: &str,
        kill: bool,
        arrived: impl Fn() -> UnixMs,
    ) -> Result<Answer, SyncError> {
        self.requests += 1;
        let acted = if kill {
            self.remote.kill(action, id).await
        } else {
            self.remote.act(action, id).await
        };
        let object = match acted {
            Ok(object) if names(&object, id) => object,
            // It was accepted, but what came back is not the run.
            Ok(_) | Err(RemoteError::InvalidResponse { .. }) => {
                self.requests += 1;
                match self.remote.run(action.kind(), id, None).await? {
                    Fetched::New { value, .. } if names(&value, id) => value,
                    Fetched::New { .. } => return Err(other_object(id)),
                    Fetched::NotModified => return Err(unasked()),
                }
            }
            Err(error) => return Err(error.into()),
        };
        let batch = RunBatch {
            kind: action.kind(),
            objects: vec![object.clone()],
            // When it arrived: a poll that began before may still bring the state before.
            observed_at: arrived(),
            provenance: Provenance::OwnAction,
        };
        let changed = self.mirror.upsert_runs(batch).await?;
        self.note(changed);
        Ok(Answer::Acted(object))
    }
}

fn names(object: &RawObject, id: &str) -> bool {
    RunFields::from_object(object).id.text().as_deref() == Some(id)
}

fn unasked() -> SyncError {
    RemoteError::InvalidResponse {
        why: "it says that nothing changed, but nothing was named".to_owned(),
    }
    .into()
}

fn other_object(id: &str) -> SyncError {
    RemoteError::InvalidResponse {
        why: format!("it is not the run `{id}`"),
    }
    .into()
}
