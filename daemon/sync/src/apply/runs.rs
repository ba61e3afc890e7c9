//! Steps about single runs: the run, its trials, reported changes, actions.

use docks_proto::object::{Lifecycle, RawObject, has_outgrown_id, lifecycle};
use docks_proto::query::ListQuery;
use docks_proto::routes::{Action, RunKind};
use docks_proto::time::UnixMs;
use tracing::warn;

use docksd_mirror::{MirrorError, Provenance, Resource, RunBatch, StatusScope};
use docksd_remote::{ActionTarget, DeliveredTrials, FaultClass, Fetched, RemoteError, Validator};

use super::runner::{StepRunner, has_id, unexpected_not_modified};
use crate::error::SyncError;
use crate::outcome::{Acted, Answer};

impl StepRunner<'_> {
    /// Stores the changes that the remote reports: runs with their trials, then what is gone.
    pub(super) async fn take_changes(&mut self) -> Result<Answer, SyncError> {
        self.requests += 1;
        let changes = self.remote.take_changes().await?;
        let mut runs = Vec::new();
        for run in changes.runs {
            for (kind, object) in [
                (RunKind::Run, run.run),
                (RunKind::Evaluation, run.evaluation),
            ] {
                self.store_batch(RunBatch {
                    kind,
                    objects: vec![object],
                    observed_at: self.began,
                    provenance: Provenance::Event,
                })
                .await?;
            }
            self.store_delivered_trials(&run.id, run.trials, run.validator)
                .await?;
            runs.push(run.id);
        }
        for id in &changes.gone {
            for kind in RunKind::ALL {
                self.mirror.tombstone_run(kind, id, self.began).await?;
            }
            self.changed = true;
        }
        Ok(Answer::Changes { runs })
    }

    async fn store_delivered_trials(
        &mut self,
        run: &str,
        trials: DeliveredTrials,
        validator: Validator,
    ) -> Result<(), SyncError> {
        let (at, provenance) = (self.began, Provenance::Event);
        let mirror = self.mirror;
        let written = match trials {
            DeliveredTrials::Whole(page) => {
                let validator = Some(validator);
                mirror
                    .replace_trials(run, page.objects, at, validator, provenance)
                    .await?
            }
            DeliveredTrials::Changes(changes) => {
                mirror
                    .change_trials(run, changes, at, validator, provenance)
                    .await?
            }
        };
        if written.has_other_base {
            self.remote.deliver_whole(run).await;
        }
        self.count(written);
        Ok(())
    }

    pub(super) async fn fetch_run(&mut self, kind: RunKind, id: &str) -> Result<Answer, SyncError> {
        let resource = Resource::Run(kind, id.to_owned());
        let held = self.mirror.run(kind, id).await?;
        let live = held.is_some_and(|stored| stored.gone_at.is_none());
        let confirmation = self.mirror.confirmation(&resource).await?;
        let validator = confirmation.and_then(|c| c.validator).filter(|_| live);
        self.requests += 1;
        match self.remote.run(kind, id, validator.as_ref()).await {
            Ok(Fetched::NotModified) => {
                self.not_modified += 1;
                self.confirm(resource, validator, true).await?;
            }
            Ok(Fetched::New { value, validator }) => {
                if !has_id(&value, id) {
                    // The remote takes names where an id belongs, and what was the id is a name by now.
                    if live && has_outgrown_id(&value, id) {
                        self.store_runs(kind, vec![value]).await?;
                    }
                    return Err(RemoteError::WrongRun { id: id.to_owned() }.into());
                }
                self.store_runs(kind, vec![value]).await?;
                // With the validator, the second look at a reopened run would say "not modified".
                let validator = validator.filter(|_| !self.reopens);
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
            open_trials: false,
        })
    }

    pub(super) async fn fetch_trials(
        &mut self,
        run: &str,
        believes_empty: bool,
    ) -> Result<Answer, SyncError> {
        let resource = Resource::Trials(run.to_owned());
        let confirmation = self.mirror.confirmation(&resource).await?;
        let validator = confirmation.and_then(|c| c.validator);
        self.requests += 1;
        let (page, fresh) = match self.remote.trials(run, validator.as_ref()).await {
            Ok(Fetched::NotModified) => {
                self.not_modified += 1;
                self.confirm(resource, validator, true).await?;
                return Ok(Answer::Stored {
                    doubtful: false,
                    open_trials: self.has_open_trials(run).await?,
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
            .replace_trials(run, page.objects, self.began, fresh, Provenance::Polled)
            .await?;
        self.count(changed);
        if changed.ignored_empty_list && believes_empty {
            self.confirm(resource, None, true).await?;
        }
        Ok(Answer::Stored {
            doubtful: changed.ignored_empty_list && !believes_empty,
            open_trials: changed.active > 0,
        })
    }

    /// Returns whether the mirror has trials of the run that have not ended.
    async fn has_open_trials(&self, run: &str) -> Result<bool, MirrorError> {
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

    pub(super) async fn fetch_trial(
        &mut self,
        run: &str,
        trial: &str,
    ) -> Result<Answer, SyncError> {
        self.requests += 1;
        let object = self.remote.trial(run, trial).await?;
        let changed = self
            .mirror
            .upsert_trial(run, object, self.began, Provenance::Polled)
            .await?;
        self.count(changed);
        Ok(Answer::Stored {
            doubtful: false,
            open_trials: false,
        })
    }

    pub(super) async fn act(
        &mut self,
        action: Action,
        id: &str,
        target: &ActionTarget,
        now: impl Fn() -> UnixMs,
    ) -> Result<Answer, SyncError> {
        self.requests += 1;
        let acted = match target {
            ActionTarget::Run => self.remote.act(action, id).await,
            ActionTarget::Process(options) => self.remote.stop_process(action, id, *options).await,
            ActionTarget::Trial(trial) => self.remote.retry_trial(id, trial).await,
        };
        let object = match acted {
            Ok(object) if is_the_run(&object, id) => object,
            // The remote accepted the action but did not return the run.
            Ok(_) | Err(RemoteError::InvalidResponse { .. }) => {
                self.requests += 1;
                match self.remote.run(action.kind(), id, None).await? {
                    Fetched::New { value, .. } if is_the_run(&value, id) => value,
                    Fetched::New { .. } => return Err(not_the_run(id)),
                    Fetched::NotModified => return Err(unexpected_not_modified()),
                }
            }
            Err(error) => return Err(error.into()),
        };
        let batch = RunBatch {
            kind: action.kind(),
            objects: vec![object.clone()],
            // The time of arrival: a poll that began earlier may still bring the earlier state.
            observed_at: now(),
            provenance: Provenance::OwnAction,
        };
        // The action counts as what the remote made of it, even if the mirror cannot be written.
        let written = self.mirror.upsert_runs(batch).await;
        let is_mirrored = written.is_ok();
        match written {
            Ok(changed) => self.count(changed),
            Err(error) => warn!(
                error = &error as &dyn std::error::Error,
                "could not store what an action did"
            ),
        }
        Ok(Answer::Acted(Acted {
            object,
            is_mirrored,
        }))
    }
}

/// Whether an object is the run with this id, which may be provisional.
fn is_the_run(object: &RawObject, id: &str) -> bool {
    has_id(object, id) || has_outgrown_id(object, id)
}

fn not_the_run(id: &str) -> SyncError {
    RemoteError::InvalidResponse {
        why: format!("it is not the run `{id}`"),
    }
    .into()
}
