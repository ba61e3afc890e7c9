//! What is true of one trial, whichever kind of remote it is from.

use std::borrow::Cow;

use super::encoding::{decode, is_readable};

/// The facts of one trial.
///
/// Texts are empty and numbers `None` where the remote says nothing.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TrialFacts<'a> {
    /// Its id, unique in its run.
    pub id: Cow<'a, str>,
    /// Its task.
    pub task: Cow<'a, str>,
    /// Its agent, with its model if the run has several.
    pub agent: Cow<'a, str>,
    /// Its model.
    pub model: Cow<'a, str>,
    /// The dataset of its task.
    pub dataset: Cow<'a, str>,
    /// Its status, as the remote wrote it.
    pub status: Cow<'a, str>,
    /// Whether it has a final status, also as errored, cancelled or lost.
    pub ended: bool,
    /// Whether its process was gone before it ended.
    pub lost: bool,
    /// Whether it was cancelled.
    pub cancelled: bool,
    /// Whether the verifier gave a reward.
    pub graded: bool,
    /// Whether it is graded and nothing makes the reward worthless.
    pub valid: bool,
    /// Whether the reward is valid and exactly 1; of a remote that grades by statuses, whether the status says so.
    /// `None` if it has not ended, or if nothing says how.
    pub solved: Option<bool>,
    /// Whether it counts in pass@k: always, except by Harbor's rules since 0.25, which leave out a trial without a valid
    /// reward, and one of Harbor's that is lost.
    pub counts: bool,
    /// Whether status and reward contradict each other about that.
    pub contradictory: bool,
    /// *The* reward: called `reward`, or the only one.
    pub reward: Option<f64>,
    /// What it counts in the mean reward of its run; `None` if it does not count.
    pub counted_reward: Option<f64>,
    /// All rewards by key, if there are several or the only one has another name than `reward`.
    pub rewards: Vec<(Cow<'a, str>, f64)>,
    /// The types of its exceptions; `unknown` for one without a type.
    pub exceptions: Vec<Cow<'a, str>>,
    /// The error message of a trial that ended and is not solved, or that has an exception; at most
    /// 400 bytes of it.
    pub message: Cow<'a, str>,
    /// Cost in US dollars.
    pub cost_usd: Option<f64>,
    /// Input tokens, with cached ones.
    pub input_tokens: Option<u64>,
    /// Those of them that came from a cache.
    pub cached_tokens: Option<u64>,
    /// Output tokens.
    pub output_tokens: Option<u64>,
    /// When it was created, in milliseconds since 1970, UTC.
    pub created_ms: Option<i64>,
    /// When it started, likewise.
    pub started_ms: Option<i64>,
    /// When it ended, likewise.
    pub completed_ms: Option<i64>,
    /// Wall time in seconds.
    pub duration_s: Option<f64>,
    /// The number of the attempt that this is, from 1, where the remote keeps earlier ones.
    pub attempt: Option<u64>,
}

/// Bytes of a message that are kept: enough to tell failures apart.
pub(super) const MOST_MESSAGE_BYTES: usize = 400;

impl TrialFacts<'_> {
    /// Whether an exception is recorded, of the trial or (Harbor since 0.25) of one of its steps. A trial may be solved
    /// and have one.
    #[must_use]
    pub fn errored(&self) -> bool {
        !self.exceptions.is_empty()
    }

    /// Returns the agent's name without its model, which remotes write in brackets behind it.
    #[must_use]
    pub fn agent_name(&self) -> &str {
        let without = || {
            let rest = self.agent.strip_suffix(')')?;
            rest.strip_suffix(&*self.model)?.strip_suffix(" (")
        };
        without().unwrap_or(&self.agent)
    }

    /// Whether it is of one of these datasets, compared without case; none are all.
    #[must_use]
    pub fn is_of(&self, datasets: &[String]) -> bool {
        let is_named = |name: &String| name.eq_ignore_ascii_case(&self.dataset);
        datasets.is_empty() || datasets.iter().any(is_named)
    }

    /// Returns input and output tokens together, as far as they are known.
    #[must_use]
    pub fn tokens(&self) -> Option<u64> {
        match (self.input_tokens, self.output_tokens) {
            (Some(input), Some(output)) => Some(input.saturating_add(output)),
            (input, output) => input.or(output),
        }
    }

    /// Returns the reward of a key, where `reward` is *the* reward.
    #[must_use]
    pub fn reward_of(&self, key: &str) -> Option<f64> {
        let named = self.rewards.iter().find(|(known, _)| known == key);
        let only = (key == "reward").then_some(self.reward).flatten();
        named.map(|(_, reward)| *reward).or(only)
    }
}

/// A run whose trials are in a [`FactsList`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RunFacts {
    /// Its id.
    pub id: String,
    /// Its name; empty if it has none.
    pub name: String,
    /// Its status, as the remote wrote it.
    pub status: String,
    /// When it was created, in milliseconds since 1970, UTC.
    pub created_ms: Option<i64>,
    /// When the remote last confirmed its trials, likewise.
    pub confirmed_ms: Option<i64>,
    /// Whether all of its trials are known, as of then.
    pub is_complete: bool,
}

/// The facts of the trials of several runs, kept encoded.
///
/// 100,000 trials take about 20 MB, and are decoded as they are looked at.
#[derive(Debug, Clone, Default)]
pub struct FactsList {
    bytes: Vec<u8>,
    /// Where the facts of each trial end in `bytes`.
    ends: Vec<usize>,
    /// The runs, each with the number of trials up to its last one.
    runs: Vec<(RunFacts, usize)>,
}

impl FactsList {
    /// Begins a run; trials that are pushed from now on are its.
    pub fn begin_run(&mut self, run: RunFacts) {
        self.runs.push((run, self.ends.len()));
    }

    /// Adds a trial of the last run, by its [encoded](super::encode()) facts. Facts of another format, and those without
    /// a run, are refused: the result is whether they were added.
    pub fn push(&mut self, encoded: &[u8]) -> bool {
        let Some((_, end)) = self.runs.last_mut() else {
            return false;
        };
        if !is_readable(encoded) {
            return false;
        }
        self.bytes.extend_from_slice(encoded);
        self.ends.push(self.bytes.len());
        *end = self.ends.len();
        true
    }

    /// Returns the number of trials.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are no trials.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Returns the runs with their trials, in the order in which they were added.
    pub fn runs(&self) -> impl Iterator<Item = (&RunFacts, impl Iterator<Item = TrialFacts<'_>>)> {
        let mut from = 0;
        self.runs.iter().map(move |(run, end)| {
            let trials = from..*end;
            from = *end;
            (run, trials.filter_map(|at| self.get(at)))
        })
    }

    /// Returns the trials of all runs.
    pub fn trials(&self) -> impl Iterator<Item = (&RunFacts, TrialFacts<'_>)> {
        self.runs()
            .flat_map(|(run, trials)| trials.map(move |trial| (run, trial)))
    }

    fn get(&self, at: usize) -> Option<TrialFacts<'_>> {
        let begin = match at {
            0 => 0,
            at => self.ends[at - 1],
        };
        decode(&self.bytes[begin..self.ends[at]])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::encode;

    #[test]
    fn a_list_returns_the_trials_of_each_run() {
        let trial = |id: &'static str| {
            encode(&TrialFacts {
                id: id.into(),
                ..TrialFacts::default()
            })
        };
        let run = |id: &str| RunFacts {
            id: id.to_owned(),
            ..RunFacts::default()
        };
        let mut list = FactsList::default();
        assert!(!list.push(&trial("x")));
        for (id, trials) in [("r", &["a", "b"][..]), ("empty", &[]), ("s", &["a"])] {
            list.begin_run(run(id));
            for id in trials {
                assert!(list.push(&trial(id)));
            }
        }
        assert!(!list.push(b""));
        let found: Vec<String> = list
            .runs()
            .map(|(run, trials)| {
                let ids: Vec<String> = trials.map(|trial| trial.id.into_owned()).collect();
                format!("{}: {}", run.id, ids.join(" "))
            })
            .collect();
        assert_eq!(found, ["r: a b", "empty: ", "s: a"]);
        assert_eq!((list.len(), list.trials().count()), (3, 3));
    }

    #[test]
    fn what_is_not_known_stays_unknown() {
        let trial = TrialFacts {
            output_tokens: Some(4),
            reward: Some(0.5),
            rewards: vec![("speed".into(), 0.25)],
            ..TrialFacts::default()
        };
        assert_eq!(trial.tokens(), Some(4));
        assert_eq!(TrialFacts::default().tokens(), None);
        assert_eq!(trial.reward_of("speed"), Some(0.25));
        assert_eq!(trial.reward_of("reward"), Some(0.5));
        assert_eq!(trial.reward_of("style"), None);
        assert!(!trial.errored());
    }

    #[test]
    fn an_agents_name_is_without_its_model() {
        for (agent, model, name) in [
            ("coder (acme/m-1)", "acme/m-1", "coder"),
            ("coder", "acme/m-1", "coder"),
            ("coder (fast)", "acme/m-1", "coder (fast)"),
            ("oracle", "", "oracle"),
            ("", "", ""),
        ] {
            let trial = TrialFacts {
                agent: agent.into(),
                model: model.into(),
                ..TrialFacts::default()
            };
            assert_eq!(trial.agent_name(), name);
        }
    }
}
