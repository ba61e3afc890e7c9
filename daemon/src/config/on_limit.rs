//! `[[on_limit]]` in `daemon.toml`: what to do when a run exceeds a limit.

use std::time::Duration;

use docks_artifacts::pattern::Pattern;
use docks_proto::hash::Fnv1a64;
use serde::Deserialize;
use serde::de::Deserializer;

use super::{on_end, value};

/// Fewest ended trials for a share of failures, unless a rule says otherwise: of fewer, a single failure is a large share.
const DEFAULT_MIN_TRIALS: u64 = 10;

/// What a run must not exceed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    /// Cost in US dollars.
    Cost(f64),
    /// Time since the run started.
    Duration(Duration),
    /// Share of the ended trials that failed for reasons of infrastructure, from 0 to 1.
    Infrastructure {
        /// The share.
        share: f64,
        /// It is looked at once so many trials have ended.
        min_trials: u64,
    },
}

impl Limit {
    /// Returns the key in `daemon.toml`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Cost(_) => "cost",
            Self::Duration(_) => "duration",
            Self::Infrastructure { .. } => "infrastructure",
        }
    }

    /// Returns the limit in the unit of its measure: dollars, seconds, or a share.
    #[must_use]
    pub fn value(&self) -> f64 {
        match self {
            Self::Cost(dollars) => *dollars,
            Self::Duration(time) => time.as_secs_f64(),
            Self::Infrastructure { share, .. } => *share,
        }
    }
}

/// What to do when a run exceeds a limit.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "RuleTable")]
pub struct OnLimitRule {
    /// Applies only to remotes of these profiles; empty for all remotes.
    pub profiles: Vec<String>,
    /// Applies only to runs whose name or id matches, as it is written.
    pub name: Option<Pattern>,
    /// The limit.
    pub limit: Limit,
    /// Whether to show a desktop notification.
    pub notify: bool,
    /// The program to run and its arguments; empty for none.
    pub exec: Vec<String>,
    /// The program is killed after this time.
    pub timeout: Duration,
    /// Whether to cancel the run. Only with `profiles`.
    pub stop: bool,
    /// Tells rules apart, also over restarts: a rule that is changed is another one. How long its program may take does
    /// not change it.
    pub fingerprint: u64,
}

/// One table as it is written. A misspelt key is refused: without its condition the rule would apply to every run.
#[derive(Debug, Default, Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "a table under `[[on_limit]]`"
)]
struct RuleTable {
    #[serde(deserialize_with = "value::one_or_more_strings")]
    profile: Vec<String>,
    #[serde(deserialize_with = "value::optional_string")]
    name: Option<String>,
    #[serde(deserialize_with = "value::dollars")]
    cost: Option<f64>,
    #[serde(deserialize_with = "value::optional_timeout")]
    duration: Option<Duration>,
    #[serde(deserialize_with = "value::share")]
    infrastructure: Option<f64>,
    #[serde(deserialize_with = "value::count")]
    min_trials: Option<u64>,
    #[serde(deserialize_with = "value::boolean")]
    notify: bool,
    #[serde(deserialize_with = "value::command")]
    exec: Vec<String>,
    #[serde(deserialize_with = "value::optional_timeout")]
    timeout: Option<Duration>,
    #[serde(deserialize_with = "value::boolean")]
    stop: bool,
}

impl RuleTable {
    fn limit(&self) -> Result<Limit, String> {
        let limits = [
            self.cost.map(Limit::Cost),
            self.duration.map(Limit::Duration),
            self.infrastructure.map(|share| Limit::Infrastructure {
                share,
                min_trials: self.min_trials.unwrap_or(DEFAULT_MIN_TRIALS),
            }),
        ];
        let mut limits = limits.into_iter().flatten();
        let one = "one of `cost`, `duration` and `infrastructure`";
        let limit = limits.next().ok_or_else(|| format!("it needs {one}"))?;
        if limits.next().is_some() {
            return Err(format!("it may have {one}; write a rule for each"));
        }
        if self.min_trials.is_some() && self.infrastructure.is_none() {
            return Err("`min_trials` belongs to `infrastructure`".to_owned());
        }
        Ok(limit)
    }

    /// Returns the same number for the same rule, in every release.
    fn fingerprint(&self, limit: &Limit) -> u64 {
        let mut hash = Fnv1a64::default();
        let mut part = |text: &str| {
            hash.write(text.as_bytes());
            hash.write(&[0]);
        };
        part(limit.name());
        part(&limit.value().to_string());
        part(&self.min_trials.unwrap_or(DEFAULT_MIN_TRIALS).to_string());
        part(self.name.as_deref().unwrap_or_default());
        part(if self.notify { "notify" } else { "" });
        part(if self.stop { "stop" } else { "" });
        for texts in [&self.profile, &self.exec] {
            part(&texts.len().to_string());
            texts.iter().for_each(|text| part(text));
        }
        hash.finish()
    }
}

impl TryFrom<RuleTable> for OnLimitRule {
    type Error = String;

    fn try_from(table: RuleTable) -> Result<Self, String> {
        let limit = table.limit()?;
        if !table.stop && !table.notify && table.exec.is_empty() {
            let problem = "it does nothing; write `notify = true`, `exec`, or `stop = true`";
            return Err(problem.to_owned());
        }
        if table.stop && table.profile.is_empty() {
            return Err(
                "`stop = true` needs `profile`: a rule without one applies to whatever this daemon \
                 mirrors, also with the token of a single command"
                    .to_owned(),
            );
        }
        on_end::check_program(&table.exec)?;
        Ok(Self {
            fingerprint: table.fingerprint(&limit),
            profiles: table.profile,
            name: table.name.as_deref().map(Pattern::parse).transpose()?,
            limit,
            notify: table.notify,
            exec: table.exec,
            timeout: table.timeout.unwrap_or(on_end::DEFAULT_TIMEOUT),
            stop: table.stop,
        })
    }
}

/// Deserializes all rules.
pub(super) fn rules<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<OnLimitRule>>, D::Error> {
    value::tables(deserializer, "[[on_limit]]").map(Some)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::file::DaemonFile;
    use super::*;

    fn rule(text: &str) -> OnLimitRule {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn an_error_in_a_rule_names_key_number_and_file() {
        for (rule, problem) in [
            ("notify = true", "rule 2: it needs one of `cost`, "),
            (
                "notify = true\ncost = 1\nduration = \"1h\"",
                "rule 2: it may have one of `cost`, `duration` and `infrastructure`; write a rule for each",
            ),
            (
                "notify = true\ncost = 0",
                "rule 2: `cost`: it must be a number of US dollars above 0",
            ),
            (
                "notify = true\ncost = \"much\"",
                "rule 2: `cost`: it must be a number",
            ),
            (
                "notify = true\ncost = nan",
                "rule 2: `cost`: it must be a number",
            ),
            ("notify = true\nduration = \"soon\"", "rule 2: `duration`: "),
            (
                "notify = true\ninfrastructure = 20",
                "rule 2: `infrastructure`: it must be a share",
            ),
            (
                "notify = true\ninfrastructure = \"200%\"",
                "rule 2: `infrastructure`: it must be a share",
            ),
            (
                "notify = true\ncost = 1\nmin_trials = 3",
                "rule 2: `min_trials` belongs to",
            ),
            (
                "notify = true\ninfrastructure = 0.2\nmin_trials = 0",
                "rule 2: `min_trials`: it must be a whole number from 1",
            ),
            (
                "notify = true\ncosts = 1",
                "rule 2: `costs`: unknown field `costs`, expected one of `profile`",
            ),
            ("cost = 1", "rule 2: it does nothing; "),
            (
                "cost = 1\nstop = true",
                "rule 2: `stop = true` needs `profile`",
            ),
            (
                "cost = 1\nstop = \"yes\"",
                "rule 2: `stop`: it must be true or false",
            ),
            (
                "cost = 1\nexec = [\"bin/x\"]",
                "rule 2: the program `bin/x` must be an absolute path",
            ),
        ] {
            let text = format!("[[on_limit]]\ncost = 1\nnotify = true\n[[on_limit]]\n{rule}\n");
            let error = DaemonFile::parse(Path::new("/h/daemon.toml"), &text).unwrap_err();
            let expected = format!("`on_limit` in /h/daemon.toml: {problem}");
            assert!(error.to_string().starts_with(&expected), "{error}");
        }
    }

    #[test]
    fn limits_are_read_in_their_units() {
        let limit = |text: &str| rule(&format!("notify = true\n{text}")).limit;
        assert_eq!(limit("cost = 20"), Limit::Cost(20.0));
        assert_eq!(limit("cost = 0.5"), Limit::Cost(0.5));
        let six_hours = Duration::from_secs(6 * 3_600);
        assert_eq!(limit("duration = \"6h\""), Limit::Duration(six_hours));
        let share = |share, min_trials| Limit::Infrastructure { share, min_trials };
        assert_eq!(limit("infrastructure = \"20%\""), share(0.2, 10));
        assert_eq!(
            limit("infrastructure = 0.25\nmin_trials = 3"),
            share(0.25, 3)
        );
    }

    #[test]
    fn a_rule_is_another_one_when_anything_but_its_time_out_changes() {
        let text = "cost = 5\nprofile = \"a\"\nexec = [\"x\", \"y\"]\n";
        let known = rule(text).fingerprint;
        // What earlier daemons have stored has to be found again.
        assert_eq!(known, 1_196_711_673_234_068_807);
        assert_eq!(rule(&format!("{text}timeout = \"5s\"")).fingerprint, known);
        for other in [
            "cost = 6\nprofile = \"a\"\nexec = [\"x\", \"y\"]",
            "duration = \"5s\"\nprofile = \"a\"\nexec = [\"x\", \"y\"]",
            "cost = 5\nprofile = [\"a\", \"x\"]\nexec = [\"y\"]",
            "cost = 5\nprofile = \"a\"\nexec = [\"x\", \"y\"]\nstop = true",
            "cost = 5\nprofile = \"a\"\nexec = [\"x\", \"y\"]\nname = \"n\"",
        ] {
            assert_ne!(rule(other).fingerprint, known, "{other}");
        }
    }
}
