//! `daemon.toml`: the daemon's own settings, all optional.

use std::path::{Path, PathBuf};
use std::time::Duration;

use docks_artifacts::ArtifactType;
use docks_statistics::failures::Rule;
use serde::Deserialize;
use serde_path_to_error::{Segment, Track};

use super::failure_rule;
use super::hub::HubOptions;
use super::idle_exit::IdleExit;
use super::job_schedule::JobSchedule;
use super::on_end::{self, OnEndRule};
use super::on_limit::{self, OnLimitRule};
use super::settings::Config;
use super::value;

/// What is wrong with `daemon.toml`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DaemonFileError {
    /// It is not valid TOML.
    #[error("{} is not valid TOML: {problem}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The parser's message.
        problem: String,
    },
    /// The value of a known key is invalid.
    #[error("`{key}` in {}: {problem}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// What is wrong.
        problem: String,
    },
}

/// The content of `daemon.toml`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct DaemonFile {
    #[serde(deserialize_with = "value::idle_exit")]
    idle_exit: Option<IdleExit>,
    #[serde(deserialize_with = "value::optional_string")]
    log_level: Option<String>,
    #[serde(deserialize_with = "value::budget")]
    budget_per_minute: Option<u32>,
    #[serde(deserialize_with = "value::optional_boolean")]
    backfill: Option<bool>,
    #[serde(deserialize_with = "value::interval")]
    active_interval: Option<Duration>,
    #[serde(deserialize_with = "value::interval")]
    idle_interval: Option<Duration>,
    #[serde(deserialize_with = "value::interval")]
    watched_interval: Option<Duration>,
    #[serde(deserialize_with = "value::interval")]
    sweep_interval: Option<Duration>,
    #[serde(deserialize_with = "value::interval")]
    remote_timeout: Option<Duration>,
    #[serde(deserialize_with = "value::job_schedule")]
    sweep: Option<JobSchedule>,
    #[serde(deserialize_with = "value::job_schedule")]
    upkeep: Option<JobSchedule>,
    #[serde(deserialize_with = "value::retention", rename = "retention_days")]
    retention: Option<Duration>,
    #[serde(deserialize_with = "value::artifact_types")]
    pull: Option<Vec<ArtifactType>>,
    #[serde(deserialize_with = "on_end::rules")]
    on_end: Option<Vec<OnEndRule>>,
    #[serde(deserialize_with = "on_limit::rules")]
    on_limit: Option<Vec<OnLimitRule>>,
    #[serde(deserialize_with = "failure_rule::rules")]
    failure_rule: Option<Vec<Rule>>,
    #[serde(deserialize_with = "value::address")]
    hub_listen: Option<String>,
    #[serde(deserialize_with = "value::strings")]
    hub_harbor: Option<Vec<String>>,
    #[serde(deserialize_with = "value::strings")]
    hub_profiles: Option<Vec<String>>,
    #[serde(deserialize_with = "value::optional_boolean")]
    hub_profiles_read_only: Option<bool>,
    #[serde(deserialize_with = "value::optional_string")]
    hub_tls_cert: Option<String>,
    #[serde(deserialize_with = "value::optional_string")]
    hub_tls_key: Option<String>,
    #[serde(deserialize_with = "value::optional_string")]
    hub_url: Option<String>,
    #[serde(deserialize_with = "value::optional_boolean")]
    hub_no_token: Option<bool>,
    #[serde(deserialize_with = "value::optional_boolean")]
    hub_insecure: Option<bool>,
    #[serde(deserialize_with = "value::optional_boolean")]
    hub_read_only: Option<bool>,
    /// Keys of a newer release, or misspelt ones.
    #[serde(skip)]
    unknown_keys: Vec<String>,
}

impl DaemonFile {
    /// Parses the text of the file. Unknown keys are collected, not refused, so that an older
    /// daemon starts with a newer file.
    ///
    /// # Errors
    ///
    /// [`DaemonFileError`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, DaemonFileError> {
        let document =
            toml::Deserializer::parse(text).map_err(|error| DaemonFileError::Syntax {
                path: path.to_owned(),
                problem: error.to_string().trim_end().replace('\n', " / "),
            })?;
        let mut track = Track::new();
        let tracked = serde_path_to_error::Deserializer::new(document, &mut track);
        let mut unknown_keys = Vec::new();
        let parsed = serde_ignored::deserialize(tracked, |key| unknown_keys.push(key.to_string()));
        let mut file: Self = parsed
            .map_err(|error: toml::de::Error| value_error(path, &track.path(), error.message()))?;
        file.unknown_keys = unknown_keys;
        Ok(file)
    }

    /// Returns the options of the hub, which flags may still override. An empty string counts as
    /// an absent one.
    pub(super) fn hub_options(&self) -> HubOptions {
        let set = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let path = |text| set(text).map(PathBuf::from);
        let strings = |texts: &Option<Vec<String>>| {
            let texts = texts.clone().unwrap_or_default().into_iter();
            texts.filter(|text| !text.is_empty())
        };
        HubOptions {
            listen: set(&self.hub_listen).and_then(|address| address.parse().ok()),
            jobs: strings(&self.hub_harbor).map(PathBuf::from).collect(),
            profiles: strings(&self.hub_profiles).collect(),
            // The default alone is no hub.
            profiles_read_only: self.hub_profiles_read_only.filter(|read_only| !read_only),
            certificate: path(&self.hub_tls_cert),
            key: path(&self.hub_tls_key),
            token_file: None,
            tokens_file: None,
            no_token: self.hub_no_token.unwrap_or_default(),
            insecure: self.hub_insecure.unwrap_or_default(),
            read_only: self.hub_read_only.unwrap_or_default(),
            url: set(&self.hub_url),
        }
    }

    /// Writes the file's settings into `config`, except for those of the hub.
    pub(super) fn apply(self, config: &mut Config) {
        fn set<T>(to: &mut T, from: Option<T>) {
            if let Some(from) = from {
                *to = from;
            }
        }
        set(&mut config.idle_exit, self.idle_exit);
        set(&mut config.log_level, self.log_level);
        set(&mut config.sync.budget_per_minute, self.budget_per_minute);
        set(&mut config.sync.backfill, self.backfill);
        set(&mut config.sync.active_interval, self.active_interval);
        set(&mut config.sync.idle_interval, self.idle_interval);
        set(&mut config.sync.watched_interval, self.watched_interval);
        set(&mut config.sync.sweep_interval, self.sweep_interval);
        set(&mut config.limits.total, self.remote_timeout);
        config.limits.connect = config.limits.connect.min(config.limits.total);
        set(&mut config.schedules.sweep, self.sweep);
        set(&mut config.schedules.upkeep, self.upkeep);
        set(&mut config.retention.history, self.retention);
        set(&mut config.prefetch.kinds, self.pull);
        set(&mut config.on_end, self.on_end);
        set(&mut config.on_limit, self.on_limit);
        set(&mut config.failure_rules, self.failure_rule);
        let path = config.paths.daemon_file();
        config.warnings.extend(
            self.unknown_keys
                .iter()
                .map(|key| format!("{} has an unknown key: `{key}`", path.display())),
        );
    }
}

/// Describes an error at a path such as `on_end[1].status`: the key, the number of the rule, and
/// the key in the rule.
fn value_error(file: &Path, path: &serde_path_to_error::Path, message: &str) -> DaemonFileError {
    let mut key = None;
    let mut problem = String::new();
    for segment in path.iter() {
        match segment {
            Segment::Map { key: name } if key.is_none() => key = Some(name.clone()),
            Segment::Map { key: name } => problem.push_str(&format!("`{name}`: ")),
            Segment::Seq { index } => problem.push_str(&format!("rule {}: ", index + 1)),
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    problem.push_str(message);
    DaemonFileError::Value {
        path: file.to_owned(),
        key: key.unwrap_or_default(),
        problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<DaemonFile, DaemonFileError> {
        DaemonFile::parse(Path::new("/h/daemon.toml"), text)
    }

    #[test]
    fn an_unknown_key_is_reported_and_not_fatal() {
        let file = parse("frobnicate = 1\nbackfill = false\n[more]\nkey = 2\n").unwrap();
        assert_eq!(file.unknown_keys, ["frobnicate", "more"]);
        assert_eq!(file.backfill, Some(false));
    }

    #[test]
    fn each_invalid_value_names_its_key_and_file() {
        for (text, key) in [
            ("idle_exit = 5", "idle_exit"),
            ("idle_exit = \"soon\"", "idle_exit"),
            ("budget_per_minute = 0", "budget_per_minute"),
            ("budget_per_minute = -3", "budget_per_minute"),
            ("backfill = \"yes\"", "backfill"),
            ("active_interval = \"10ms\"", "active_interval"),
            ("retention_days = 0", "retention_days"),
            ("log_level = 3", "log_level"),
            ("pull = \"result, videos\"", "pull"),
            ("hub_listen = \"7433\"", "hub_listen"),
            ("hub_read_only = \"yes\"", "hub_read_only"),
            ("sweep = \"61 * * * *\"", "sweep"),
            ("upkeep = 3", "upkeep"),
            ("retention_days = 1979-05-27", "retention_days"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("`{key}` in /h/daemon.toml: ")),
                "{error}"
            );
        }
        for text in ["a = [", "sweep_interval = \"1h\"\nsweep_interval = \"2h\""] {
            let error = parse(text).unwrap_err();
            assert!(matches!(error, DaemonFileError::Syntax { .. }), "{error}");
        }
    }

    #[test]
    fn the_readme_lists_every_key_with_its_default() {
        let readme = include_str!("../../../README.md");
        let rows: Vec<_> = readme
            .split("daemon.toml` holds")
            .nth(1)
            .unwrap()
            .lines()
            .take_while(|line| !line.starts_with('#'))
            .filter_map(|line| line.strip_prefix("| `"))
            .map(|row| row.split("` | `").collect::<Vec<_>>())
            .collect();
        let mut text = String::new();
        for row in &rows {
            let default = row[1].split('`').next().unwrap();
            text.push_str(&format!("{} = {default}\n", row[0]));
        }
        let file = parse(&text).unwrap();
        assert!(file.unknown_keys.is_empty(), "{:?}", file.unknown_keys);
        // A field without a row would still be `None`.
        assert!(!format!("{file:?}").contains("None"), "{file:?}");
        let paths = docks_proto::paths::Paths {
            home: "/h".into(),
            socket: "/h/run/docksd.sock".into(),
        };
        let defaults = Config::new(paths);
        let mut written = defaults.clone();
        file.apply(&mut written);
        assert_eq!(format!("{written:?}"), format!("{defaults:?}"));
    }
}
