//! What to compare, and how.

use std::path::PathBuf;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::path_encoding::{decode_path, decode_paths, encode_path, encode_paths};
use crate::query::{Parameters, QueryError};
use crate::routes;

/// The figure that is compared.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum MetricName {
    /// Share of solved attempts, of those that ended.
    #[default]
    Solved,
    /// Share of solved attempts, of those with a valid reward: without what failed for no fault of the agent's.
    SolvedOfValid,
    /// Mean of *the* reward, as its run counts it.
    Reward,
    /// Mean of the reward with this key.
    RewardOf(String),
    /// Cost in US dollars; less is better.
    Cost,
    /// Wall time; less is better.
    Time,
    /// Input and output tokens; fewer are better.
    Tokens,
}

impl MetricName {
    /// Reads `solved`, `solved-of-valid`, `reward`, `reward:KEY`, `cost`, `time` or `tokens`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "solved" => Self::Solved,
            "solved-of-valid" => Self::SolvedOfValid,
            "reward" => Self::Reward,
            "cost" => Self::Cost,
            "time" => Self::Time,
            "tokens" => Self::Tokens,
            name => Self::RewardOf(
                name.strip_prefix("reward:")
                    .filter(|key| !key.is_empty())?
                    .to_owned(),
            ),
        })
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Solved => "solved".to_owned(),
            Self::SolvedOfValid => "solved-of-valid".to_owned(),
            Self::Reward => "reward".to_owned(),
            Self::RewardOf(key) => format!("reward:{key}"),
            Self::Cost => "cost".to_owned(),
            Self::Time => "time".to_owned(),
            Self::Tokens => "tokens".to_owned(),
        }
    }

    /// Whether less is better, and ratios are compared instead of differences.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        matches!(self, Self::Cost | Self::Time | Self::Tokens)
    }
}

/// What the rows of a comparison are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum By {
    /// Tasks.
    #[default]
    Task,
    /// Agents.
    Agent,
    /// Models.
    Model,
    /// Datasets.
    Dataset,
}

impl By {
    /// Reads `task`, `agent`, `model` or `dataset`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Task, Self::Agent, Self::Model, Self::Dataset]
            .into_iter()
            .find(|by| by.name() == name)
    }

    /// Returns the name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Agent => "agent",
            Self::Model => "model",
            Self::Dataset => "dataset",
        }
    }
}

/// Which attempts at a task count where a side has several runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Union {
    /// Those of all runs.
    #[default]
    All,
    /// Those of the newest run that ended one.
    Latest,
    /// Those of the run that did best at it.
    Best,
}

impl Union {
    /// Reads `all`, `latest` or `best`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::All, Self::Latest, Self::Best]
            .into_iter()
            .find(|union| union.name() == name)
    }

    /// Returns the name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Latest => "latest",
            Self::Best => "best",
        }
    }
}

/// When the second side passes for as good as the first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GateQuery {
    /// By how much it may be worse: of a share, of rewards, or relative to what was spent.
    pub max_drop: f64,
    /// Whether it must be shown that it does not drop by more.
    pub is_strict: bool,
    /// Fewer common tasks than that cannot tell.
    pub min_tasks: u64,
}

/// A remote other than the one that the headers of a request select.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemoteReference {
    /// That of a profile.
    Profile(String),
    /// Harbor jobs directories.
    HarborJobs(Vec<PathBuf>),
    /// The `harbor serve` at this address, which asks for no key.
    HarborServer(String),
}

/// A run to compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunReference {
    /// A run of a remote, or of the one that the headers select: id, unique beginning of it, or name.
    Mirrored {
        /// The remote.
        remote: Option<RemoteReference>,
        /// The run.
        run: String,
    },
    /// A file with a [`SavedRun`](super::SavedRun): its absolute path.
    Saved(PathBuf),
}

impl RunReference {
    /// A run of the remote that the headers select.
    #[must_use]
    pub fn of_request(run: &str) -> Self {
        Self::Mirrored {
            remote: None,
            run: run.to_owned(),
        }
    }
}

/// What to compare, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct CompareQuery {
    /// The sides, each with its runs. The others are compared with the first.
    pub sides: Vec<Vec<RunReference>>,
    /// The figure.
    pub metric: MetricName,
    /// What the rows are.
    pub by: By,
    /// Which attempts count where a side has several runs.
    pub union: Union,
    /// The largest difference that counts as none.
    pub margin: f64,
    /// Whether only attempts are resampled: what is said is then about these tasks, and not about others of their kind.
    pub on_these_tasks: bool,
    /// Whether to decide if the second side passes.
    pub gate: Option<GateQuery>,
}

/// Two points.
pub const DEFAULT_MARGIN: f64 = 0.02;

impl Default for CompareQuery {
    fn default() -> Self {
        Self {
            sides: Vec::new(),
            metric: MetricName::default(),
            by: By::default(),
            union: Union::default(),
            margin: DEFAULT_MARGIN,
            on_these_tasks: false,
            gate: None,
        }
    }
}

impl CompareQuery {
    /// Returns path and query of the request. A side is `side` with its first run and `with` for each further one, or
    /// `saved_side` and `saved_with` with the paths of files; `remote` in front of one says which remote has it.
    #[must_use]
    pub fn path(&self) -> String {
        let mut pairs: Vec<(&str, String)> = Vec::new();
        for side in &self.sides {
            for (at, run) in side.iter().enumerate() {
                match run {
                    RunReference::Mirrored { remote, run } => {
                        pairs.extend(remote.as_ref().map(|remote| ("remote", remote.text())));
                        pairs.push((if at == 0 { "side" } else { "with" }, run.clone()));
                    }
                    RunReference::Saved(path) => {
                        let name = if at == 0 { "saved_side" } else { "saved_with" };
                        pairs.push((name, encode_path(path)));
                    }
                }
            }
        }
        pairs.push(("metric", self.metric.name()));
        pairs.push(("by", self.by.name().to_owned()));
        pairs.push(("union", self.union.name().to_owned()));
        pairs.push(("margin", self.margin.to_string()));
        if self.on_these_tasks {
            pairs.push(("on_these_tasks", "true".to_owned()));
        }
        if let Some(gate) = &self.gate {
            pairs.push(("max_drop", gate.max_drop.to_string()));
            pairs.push(("strict", gate.is_strict.to_string()));
            pairs.push(("min_n", gate.min_tasks.to_string()));
        }
        let pairs = pairs.into_iter().map(|(name, value)| {
            format!("{name}={}", utf8_percent_encode(&value, NON_ALPHANUMERIC))
        });
        format!(
            "{}?{}",
            routes::COMPARE,
            pairs.collect::<Vec<_>>().join("&")
        )
    }

    /// Reads the parameters; others are ignored.
    ///
    /// # Errors
    ///
    /// [`QueryError::Choice`] and [`QueryError::Share`] for a value that cannot be, and those of the parameters.
    pub fn from_parameters(parameters: &Parameters) -> Result<Self, QueryError> {
        let mut query = Self {
            on_these_tasks: parameters.flag("on_these_tasks")?,
            ..Self::default()
        };
        let (mut max_drop, mut gate, mut remote) = (None, None, None);
        for (name, value) in parameters.values() {
            let choice = |name, choices| QueryError::Choice {
                name,
                value: value.to_owned(),
                choices,
            };
            match name {
                "remote" => {
                    let known = "profile:NAME, jobs:DIRECTORIES, server:URL";
                    let found = RemoteReference::from_text(value);
                    remote = Some(found.ok_or_else(|| choice("remote", known))?);
                }
                "side" | "with" => {
                    let run = RunReference::Mirrored {
                        remote: remote.take(),
                        run: value.to_owned(),
                    };
                    query.add_run(run, name == "side");
                }
                "saved_side" | "saved_with" => {
                    let run = RunReference::Saved(decode_path(value));
                    query.add_run(run, name == "saved_side");
                }
                "metric" => {
                    let known = "solved, solved-of-valid, reward, reward:KEY, cost, time, tokens";
                    query.metric =
                        MetricName::from_name(value).ok_or_else(|| choice("metric", known))?;
                }
                "by" => {
                    let known = "task, agent, model, dataset";
                    query.by = By::from_name(value).ok_or_else(|| choice("by", known))?;
                }
                "union" => {
                    let known = "all, latest, best";
                    query.union = Union::from_name(value).ok_or_else(|| choice("union", known))?;
                }
                "margin" => query.margin = share("margin", value)?,
                "max_drop" => max_drop = Some(share("max_drop", value)?),
                _ => {}
            }
        }
        if let Some(max_drop) = max_drop {
            gate = Some(GateQuery {
                max_drop,
                is_strict: parameters.flag("strict")?,
                min_tasks: parameters.number("min_n")?.unwrap_or(0),
            });
        }
        query.gate = gate;
        Ok(query)
    }

    fn add_run(&mut self, run: RunReference, begins_side: bool) {
        match self.sides.last_mut() {
            Some(side) if !begins_side => side.push(run),
            _ => self.sides.push(vec![run]),
        }
    }
}

impl RemoteReference {
    fn text(&self) -> String {
        match self {
            Self::Profile(name) => format!("profile:{name}"),
            Self::HarborJobs(dirs) => format!("jobs:{}", encode_paths(dirs)),
            Self::HarborServer(url) => format!("server:{url}"),
        }
    }

    fn from_text(text: &str) -> Option<Self> {
        let (kind, value) = text.split_once(':')?;
        match kind {
            "profile" => Some(Self::Profile(value.to_owned())),
            "jobs" => Some(Self::HarborJobs(decode_paths(value))),
            "server" => Some(Self::HarborServer(value.to_owned())),
            _ => None,
        }
    }
}

/// Reads a number that is not negative.
fn share(name: &'static str, value: &str) -> Result<f64, QueryError> {
    let number = value.parse().ok();
    let number = number.filter(|number: &f64| number.is_finite() && *number >= 0.0);
    number.ok_or_else(|| QueryError::Share {
        name,
        value: value.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<CompareQuery, QueryError> {
        CompareQuery::from_parameters(&Parameters::parse(text)?)
    }

    #[test]
    fn a_query_is_read_as_it_is_written() {
        let query = CompareQuery {
            sides: vec![
                vec![
                    RunReference::of_request("a,1"),
                    RunReference::Mirrored {
                        remote: Some(RemoteReference::HarborJobs(vec![
                            "/x,y".into(),
                            "/é z".into(),
                        ])),
                        run: "b&".to_owned(),
                    },
                    RunReference::Saved("/a,b c.json".into()),
                ],
                vec![RunReference::Mirrored {
                    remote: Some(RemoteReference::Profile("p:q".to_owned())),
                    run: "c".to_owned(),
                }],
                vec![RunReference::Saved("/base.json".into())],
                vec![RunReference::Mirrored {
                    remote: Some(RemoteReference::HarborServer("http://h:1".to_owned())),
                    run: "d".to_owned(),
                }],
            ],
            on_these_tasks: true,
            metric: MetricName::RewardOf("speed:x".into()),
            by: By::Agent,
            union: Union::Best,
            margin: 0.05,
            gate: Some(GateQuery {
                max_drop: 0.02,
                is_strict: true,
                min_tasks: 30,
            }),
        };
        let path = query.path();
        let (route, text) = path.split_once('?').unwrap();
        assert_eq!(route, "/v1/compare");
        assert_eq!(read(text), Ok(query));
        let plain = read("side=a&side=b&other=1").unwrap();
        let sides = ["a", "b"].map(|run| vec![RunReference::of_request(run)]);
        assert_eq!(plain.sides, sides);
        assert_eq!((plain.metric, plain.gate), (MetricName::Solved, None));
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        for (text, name) in [
            ("remote=x&side=a", "remote"),
            ("metric=speed", "metric"),
            ("metric=reward:", "metric"),
            ("by=status", "by"),
            ("union=worst", "union"),
            ("margin=-1", "margin"),
            ("max_drop=NaN", "max_drop"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
