//! Stopping, pausing, resuming and retrying jobs.

use docks_proto::id::path_segment;
use docks_proto::object::RawObject;
use docks_proto::routes::Action;
use docksd_remote::RemoteError;
use serde::de::IgnoredAny;

use crate::attempts::Attempts;
use crate::{Server, not_found};

impl Server {
    /// Sends a command about a job, and returns the job as the server has it afterwards.
    pub(crate) async fn carry_out(
        &self,
        action: Action,
        id: &str,
    ) -> Result<RawObject, RemoteError> {
        let id = self.refreshed().await?.find(id)?;
        let (command, body) = match action {
            Action::Stop | Action::Cancel => ("cancel", r#"{"force": true}"#),
            Action::Start | Action::Resume => ("resume", ""),
            Action::Pause => ("pause", ""),
            Action::Retry => {
                self.retry_failed(&id).await?;
                return self.job_after(action, &id).await;
            }
        };
        self.post("jobs", &id, command, body).await?;
        self.job_after(action, &id).await
    }

    async fn post(
        &self,
        what: &str,
        id: &str,
        command: &str,
        body: &'static str,
    ) -> Result<(), RemoteError> {
        let segment = path_segment(id).map_err(|_| not_found(id))?;
        let path = format!("/{what}/{segment}/{command}");
        let _answer: IgnoredAny = self.client.post(path, body).await?;
        Ok(())
    }

    /// Runs the trials of a job again whose newest attempt ended with an error or was cancelled.
    async fn retry_failed(&self, id: &str) -> Result<(), RemoteError> {
        let mut state = self.refreshed().await?;
        if state.jobs.get(id).is_some_and(|job| job.attempts.is_none()) {
            self.poller().read_job(&mut state, id).await?;
        }
        let attempts = state.jobs.get(id).and_then(|job| job.attempts.as_ref());
        let failed = attempts.map(Attempts::failed).unwrap_or_default();
        drop(state);
        if failed.is_empty() {
            return Err(RemoteError::NotPossible {
                message: format!(
                    "no trial of `{id}` has ended with an error or was cancelled, so there is nothing to retry"
                ),
                hint: None,
                needs_kill: false,
            });
        }
        for attempt in failed {
            self.post("rollouts", &attempt, "retry", "").await?;
        }
        Ok(())
    }

    /// Runs the newest attempt of a trial again, however it ended. The server refuses one that has not.
    pub(crate) async fn retry_trial(
        &self,
        job: &str,
        trial: &str,
    ) -> Result<RawObject, RemoteError> {
        let attempt = self.newest_attempt(trial).await?;
        self.post("rollouts", &attempt.id, "retry", "").await?;
        self.job_after(Action::Retry, job).await
    }

    /// Returns a job as it is after a command.
    async fn job_after(&self, action: Action, id: &str) -> Result<RawObject, RemoteError> {
        let mut state = self.refreshed().await?;
        let id = self.look_at(&mut state, id, false).await?;
        let job = state.jobs.get(&id);
        let object = job.and_then(|job| job.object(action.kind()).cloned());
        object.ok_or_else(|| not_found(&id))
    }
}
