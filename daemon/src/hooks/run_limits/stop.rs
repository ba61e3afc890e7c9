//! Stopping a run that has exceeded a limit.

use docks_proto::error::error_chain;
use docks_proto::history::RunAction;
use docks_proto::routes::Action;
use docksd_remote::ActionTarget;

use super::state::RuleState;
use crate::api::Service;
use crate::api::own_actions::is_refusal;
use crate::registry::MirroredRemote;

/// Who stops the run, in its history.
const ACTOR: &str = "on_limit";

/// Cancels an evaluation run with the credentials of its remote, and notes under `topic` that the remote has answered. If it
/// has not, the next attempt follows.
pub(super) async fn stop(service: &Service, remote: &MirroredRemote, run: &str, topic: &str) {
    let clock = service.registry.clock();
    let acting =
        service
            .own_actions
            .carry_out(remote, Action::Cancel, &ActionTarget::Run, run, || {
                clock.wall()
            });
    match acting.await {
        Ok(_) => {
            tracing::info!(run, "stopped `{run}`, which has exceeded a limit");
            let record = RunAction {
                action: Action::Cancel.segment().to_owned(),
                by: ACTOR.to_owned(),
                at: clock.wall().rfc3339(),
            };
            // It is done, whether or not that can be recorded.
            if let Err(error) = remote.mirror.record_action(run, record).await {
                let error = error_chain(&error);
                tracing::error!(error, "could not record that a run was stopped");
            }
        }
        Err(error) if is_refusal(&error) => {
            let error = error_chain(&error);
            tracing::warn!(
                run,
                error,
                "`{run}` has exceeded a limit, but cannot be stopped"
            );
        }
        Err(error) => {
            let error = error_chain(&error);
            tracing::warn!(run, error, "could not stop `{run}`; trying again");
            return;
        }
    }
    if let Err(error) = remote
        .mirror
        .write_run_note(topic, run, RuleState::Applied.text())
        .await
    {
        let error = error_chain(&error);
        tracing::error!(run, error, "could not note that `{run}` was stopped");
    }
}
