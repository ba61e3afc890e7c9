//! The attempts of one job, merged from the rows of several answers.

use std::collections::{BTreeMap, HashMap};

use docks_proto::object::RawObject;
use docksd_harbor::served::{
    AttemptResult, ServedArtifacts, ServedAttempt, ServedPhase, ServedState, ServedTrials,
};
use docksd_remote::RemoteError;
use serde::Deserialize;

use crate::client::QueryResult;
use crate::queries::{AttemptRow, OfAttempt, micros};

/// One attempt and its place in its chain.
#[derive(Debug)]
pub(crate) struct Attempt {
    /// What is shown of it.
    pub(crate) served: ServedAttempt,
    /// The id of the first attempt of the chain, which never changes.
    pub(crate) chain: Box<str>,
    retry_index: u32,
    updated_us: Option<i64>,
}

/// All attempts of a job, by id.
#[derive(Debug, Default)]
pub(crate) struct Attempts(BTreeMap<Box<str>, Attempt>);

/// A rollout as `/rollouts` lists it: what of a running one is newer than the tables.
#[derive(Debug, Deserialize)]
pub(crate) struct LiveRollout {
    id: String,
    state: String,
    phase: Option<String>,
    error_type: Option<String>,
    usage: Option<LiveUsage>,
}

#[derive(Debug, Default, Deserialize)]
struct LiveUsage {
    n_input_tokens: Option<u64>,
    n_cached_input_tokens: Option<u64>,
    n_output_tokens: Option<u64>,
    cost_usd: Option<f64>,
}

impl Attempts {
    /// Takes the rows of the three statements of [`crate::queries::attempts`]; returns the largest id, and how
    /// many attempts there were.
    ///
    /// # Errors
    ///
    /// When a statement failed or its rows are odd.
    pub(crate) fn merge(
        &mut self,
        [rows, rewards, artifacts]: &[QueryResult<'_>; 3],
        with_artifacts: bool,
    ) -> Result<(Option<String>, usize), RemoteError> {
        let rows: Vec<AttemptRow> = rows.rows()?;
        let of_attempts =
            |result: &QueryResult<'_>| -> Result<HashMap<String, String>, RemoteError> {
                let rows: Vec<OfAttempt> = result.rows()?;
                Ok(rows
                    .into_iter()
                    .map(|row| (row.rollout_id, row.members))
                    .collect())
            };
        let rewards = of_attempts(rewards)?;
        let artifacts = if with_artifacts {
            of_attempts(artifacts)?
        } else {
            HashMap::new()
        };
        let (count, last) = (rows.len(), rows.iter().map(|row| &row.id).max().cloned());
        for row in rows {
            let rewards = rewards.get(&row.id).map_or("{}", String::as_str);
            let artifacts = artifacts.get(&row.id).map_or("{}", String::as_str);
            self.upsert(row, rewards, artifacts);
        }
        Ok((last, count))
    }

    fn upsert(&mut self, row: AttemptRow, rewards: &str, artifacts: &str) {
        let before = self.0.remove(row.id.as_str());
        let attempt = Attempt::new(row, rewards, artifacts, before);
        self.0.insert(attempt.served.id.clone(), attempt);
    }

    /// Returns how many attempts there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns when one of them last changed.
    pub(crate) fn newest_us(&self) -> Option<i64> {
        self.0
            .values()
            .filter_map(|attempt| attempt.updated_us)
            .max()
    }

    /// Returns how many have not ended, and when one of these last changed.
    pub(crate) fn active(&self) -> (u64, Option<i64>) {
        let active = self
            .0
            .values()
            .filter(|attempt| !attempt.served.state.has_ended());
        active.fold((0, None), |(count, newest), attempt| {
            (count + 1, newest.max(attempt.updated_us))
        })
    }

    /// Returns the trials: the attempts of each, newest first.
    pub(crate) fn trials(&self) -> ServedTrials<'_> {
        let mut chains: BTreeMap<&str, Vec<&Attempt>> = BTreeMap::new();
        for attempt in self.0.values() {
            chains.entry(&attempt.chain).or_default().push(attempt);
        }
        ServedTrials::Known(chains.into_values().map(newest_first).collect())
    }

    /// Returns the id of the trial to which an attempt belongs.
    pub(crate) fn trial_of(&self, attempt: &str) -> Option<&str> {
        self.0.get(attempt).map(|attempt| &*attempt.chain)
    }

    /// Returns the newest attempts that ended with an error or were cancelled, in the order of their submission.
    pub(crate) fn failed(&self) -> Vec<Box<str>> {
        let mut failed: Vec<&Attempt> = self
            .newest()
            .filter(|attempt| match attempt.served.state {
                ServedState::Cancelled => true,
                ServedState::Finished => attempt.served.error_type.is_some(),
                _ => false,
            })
            .collect();
        failed.sort_by_key(|attempt| (attempt.served.created_us, attempt.served.id.clone()));
        failed
            .into_iter()
            .map(|attempt| attempt.served.id.clone())
            .collect()
    }

    /// Returns the newest attempt of each trial.
    fn newest(&self) -> impl Iterator<Item = &Attempt> {
        let mut newest: HashMap<&str, &Attempt> = HashMap::new();
        for attempt in self.0.values() {
            let known = newest.entry(&attempt.chain).or_insert(attempt);
            if attempt.retry_index > known.retry_index {
                *known = attempt;
            }
        }
        newest.into_values()
    }

    /// Returns the newest attempts that ended and whose result was not read yet.
    pub(crate) fn without_result(&self) -> Vec<Box<str>> {
        let mut missing: Vec<&Attempt> = self
            .newest()
            .filter(|attempt| attempt.served.state.has_ended() && attempt.served.result.is_none())
            .collect();
        missing.sort_by_key(|attempt| std::cmp::Reverse(attempt.served.finished_us));
        missing
            .into_iter()
            .map(|attempt| attempt.served.id.clone())
            .collect()
    }

    /// Sets the result of an attempt.
    pub(crate) fn set_result(&mut self, attempt: &str, result: AttemptResult) {
        if let Some(attempt) = self.0.get_mut(attempt) {
            attempt.served.result = Some(result);
        }
    }

    /// Takes the results of attempts that have not changed since.
    pub(crate) fn keep_results(&mut self, before: Self) {
        for (id, old) in before.0 {
            let Some(attempt) = self.0.get_mut(&id) else {
                continue;
            };
            let is_same =
                old.updated_us == attempt.updated_us && old.served.state == attempt.served.state;
            if is_same && attempt.served.result.is_none() {
                attempt.served.result = old.served.result;
            }
        }
    }

    /// Takes the results back from the objects of trials that were built of them.
    pub(crate) fn recall(&mut self, trials: &[RawObject]) {
        for trial in trials {
            let Some((id, result)) = AttemptResult::recall(trial) else {
                continue;
            };
            let known = self.0.get_mut(id.as_str());
            if let Some(attempt) = known.filter(|attempt| attempt.served.state.has_ended()) {
                attempt.served.result.get_or_insert(result);
            }
        }
    }

    /// Takes what the server says of those that run; returns whether anything changed.
    pub(crate) fn take_live(&mut self, live: &[LiveRollout]) -> bool {
        let mut changed = false;
        for rollout in live {
            let Some(attempt) = self.0.get_mut(rollout.id.as_str()) else {
                continue;
            };
            let state = ServedState::parse(&rollout.state);
            if attempt.served.state.has_ended() || state != Some(attempt.served.state) {
                // The tables come first; the next poll brings both.
                continue;
            }
            changed |= attempt.take_live(rollout);
        }
        changed
    }
}

/// Returns the attempts of one chain, newest first.
fn newest_first(mut chain: Vec<&Attempt>) -> Vec<&ServedAttempt> {
    chain.sort_by_key(|attempt| std::cmp::Reverse(attempt.retry_index));
    chain.into_iter().map(|attempt| &attempt.served).collect()
}

impl Attempt {
    fn new(row: AttemptRow, rewards: &str, artifacts: &str, before: Option<Self>) -> Self {
        let retry_ids: Vec<String> = row
            .retry_ids
            .as_deref()
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default();
        // What a later release calls otherwise still counts as under way.
        let state = ServedState::parse(&row.state).unwrap_or(ServedState::Running);
        let updated_us = micros(row.updated_at.as_deref());
        let same = before.filter(|before| {
            before.served.state == state && (!state.has_ended() || before.updated_us == updated_us)
        });
        // Of one that runs, what was asked for is newer than the tables.
        let live = same.as_ref().filter(|_| !state.has_ended());
        let live = live.map(|before| &before.served);
        let tokens = |own: Option<u64>, of: fn(&ServedAttempt) -> Option<u64>| {
            own.or_else(|| live.and_then(of))
        };
        let input_tokens = tokens(row.n_input_tokens, |live| live.input_tokens);
        let cache_tokens = tokens(row.n_cached_input_tokens, |live| live.cache_tokens);
        let output_tokens = tokens(row.n_output_tokens, |live| live.output_tokens);
        let cost_usd = row.cost_usd.or_else(|| live?.cost_usd);
        let (phase, result) = match same {
            Some(before) => (before.served.phase, before.served.result),
            None => (None, None),
        };
        let never_ran = state.has_ended() && row.started_at.is_none();
        let text =
            |text: Option<String>| text.filter(|t| !t.is_empty()).map(String::into_boxed_str);
        Self {
            chain: retry_ids.last().unwrap_or(&row.id).as_str().into(),
            retry_index: row.retry_index,
            updated_us,
            served: ServedAttempt {
                name: row.name.into(),
                state,
                created_us: micros(row.created_at.as_deref()),
                started_us: micros(row.started_at.as_deref()),
                finished_us: micros(row.finished_at.as_deref()),
                task: text(row.task_name).unwrap_or_default(),
                source: text(row.task_source),
                agent: text(row.agent_name).unwrap_or_default(),
                agent_version: text(row.agent_version),
                model: model(row.model_name, row.model_provider),
                input_tokens,
                cache_tokens,
                output_tokens,
                cost_usd,
                rewards: read_rewards(rewards),
                error_type: text(row.error_type),
                phase,
                artifacts: read_artifacts(artifacts),
                // There is none of what never started.
                result: result.or_else(|| never_ran.then(AttemptResult::none)),
                id: row.id.into(),
            },
        }
    }

    fn take_live(&mut self, live: &LiveRollout) -> bool {
        let shown = |of: &ServedAttempt| {
            let tokens = [of.input_tokens, of.cache_tokens, of.output_tokens];
            (of.phase, tokens, of.cost_usd)
        };
        let before = shown(&self.served);
        let was_past_setup = !matches!(self.served.phase, None | Some(ServedPhase::Setup));
        let usage = live.usage.as_ref();
        let has_outcome = live.error_type.is_some() || usage.is_some_and(LiveUsage::is_known);
        self.served.phase = Some(match live.phase.as_deref() {
            Some("environment_setup" | "agent_setup") => ServedPhase::Setup,
            Some("agent_execution") => ServedPhase::Agent,
            Some("verifier") => ServedPhase::Verifier,
            Some(_) => ServedPhase::Ending,
            // Between two phases, or after the last one.
            None if has_outcome => ServedPhase::Ending,
            None if was_past_setup => self.served.phase.unwrap_or(ServedPhase::Agent),
            None => ServedPhase::Setup,
        });
        if let Some(usage) = usage {
            self.served.input_tokens = usage.n_input_tokens.or(self.served.input_tokens);
            self.served.cache_tokens = usage.n_cached_input_tokens.or(self.served.cache_tokens);
            self.served.output_tokens = usage.n_output_tokens.or(self.served.output_tokens);
            self.served.cost_usd = usage.cost_usd.or(self.served.cost_usd);
        }
        before != shown(&self.served)
    }
}

impl LiveUsage {
    fn is_known(&self) -> bool {
        self.n_input_tokens.is_some() || self.n_output_tokens.is_some() || self.cost_usd.is_some()
    }
}

/// Returns a model as it was configured: the server keeps the provider apart.
fn model(name: Option<String>, provider: Option<String>) -> Option<Box<str>> {
    let name = name.filter(|name| !name.is_empty())?;
    Some(match provider.filter(|provider| !provider.is_empty()) {
        Some(provider) if !name.starts_with(&format!("{provider}/")) => {
            format!("{provider}/{name}").into()
        }
        _ => name.into(),
    })
}

fn read_rewards(members: &str) -> Vec<(Box<str>, Option<f64>)> {
    let rewards: BTreeMap<Box<str>, Option<f64>> =
        serde_json::from_str(members).unwrap_or_default();
    rewards.into_iter().collect()
}

fn read_artifacts(members: &str) -> ServedArtifacts {
    let files: BTreeMap<String, String> = serde_json::from_str(members).unwrap_or_default();
    ServedArtifacts::new(
        files
            .iter()
            .map(|(path, uri)| (path.as_str(), uri.as_str())),
    )
}
