//! Runs as files, and back.

use docks_proto::comparison::{SAVED_RUN_FORMAT, SavedRun, SavedTrial};
use docks_proto::time::UnixMs;

use super::side::RunTrials;
use crate::trial::{RunFacts, TrialFacts};

/// Returns a run in the form in which it is saved.
#[must_use]
pub fn save<'a>(run: &RunFacts, trials: impl Iterator<Item = TrialFacts<'a>>) -> SavedRun {
    let time = |ms: Option<i64>| ms.map(|ms| UnixMs(ms).rfc3339());
    SavedRun {
        docks_saved_run: SAVED_RUN_FORMAT,
        remote: None,
        id: run.id.clone(),
        name: run.name.clone(),
        status: run.status.clone(),
        created_at: time(run.created_ms),
        confirmed_at: time(run.confirmed_ms),
        complete: run.is_complete,
        trials: trials.map(saved_trial).collect(),
    }
}

fn saved_trial(trial: TrialFacts<'_>) -> SavedTrial {
    SavedTrial {
        id: trial.id.into_owned(),
        task: trial.task.into_owned(),
        agent: trial.agent.into_owned(),
        model: trial.model.into_owned(),
        status: trial.status.into_owned(),
        ended: trial.ended,
        lost: trial.lost,
        cancelled: trial.cancelled,
        graded: trial.graded,
        valid: trial.valid,
        counts: trial.counts,
        contradictory: trial.contradictory,
        solved: trial.solved,
        reward: trial.reward,
        counted_reward: trial.counted_reward,
        rewards: trial
            .rewards
            .into_iter()
            .map(|(key, reward)| (key.into_owned(), reward))
            .collect(),
        exceptions: trial.exceptions.into_iter().map(Into::into).collect(),
        cost_usd: trial.cost_usd,
        input_tokens: trial.input_tokens,
        output_tokens: trial.output_tokens,
        duration_s: trial.duration_s,
    }
}

/// Returns a saved run with its trials.
#[must_use]
pub fn facts_of_saved(saved: &SavedRun) -> RunTrials<'_> {
    let time = |text: &Option<String>| Some(UnixMs::parse(text.as_deref()?)?.0);
    RunTrials {
        remote: saved.remote.clone(),
        run: RunFacts {
            id: saved.id.clone(),
            name: saved.name.clone(),
            status: saved.status.clone(),
            created_ms: time(&saved.created_at),
            confirmed_ms: time(&saved.confirmed_at),
            is_complete: saved.complete,
        },
        trials: saved.trials.iter().map(facts_of_trial).collect(),
    }
}

fn facts_of_trial(trial: &SavedTrial) -> TrialFacts<'_> {
    let text = |text: &'_ str| text.to_owned().into();
    TrialFacts {
        id: trial.id.as_str().into(),
        task: trial.task.as_str().into(),
        agent: trial.agent.as_str().into(),
        model: trial.model.as_str().into(),
        status: trial.status.as_str().into(),
        ended: trial.ended,
        lost: trial.lost,
        cancelled: trial.cancelled,
        graded: trial.graded,
        valid: trial.valid,
        counts: trial.counts,
        contradictory: trial.contradictory,
        solved: trial.solved,
        reward: trial.reward,
        counted_reward: trial.counted_reward,
        rewards: trial
            .rewards
            .iter()
            .map(|(key, reward)| (text(key), *reward))
            .collect(),
        exceptions: trial.exceptions.iter().map(|kind| text(kind)).collect(),
        cost_usd: trial.cost_usd,
        input_tokens: trial.input_tokens,
        output_tokens: trial.output_tokens,
        duration_s: trial.duration_s,
        ..TrialFacts::default()
    }
}
