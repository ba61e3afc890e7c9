//! `daemon.toml`: the daemon's own settings, all optional.

use std::path::{Path, PathBuf};
use std::time::Duration;

use docks_artifacts::ArtifactType;
use docks_proto::time::parse_duration;
use toml_edit::{DocumentMut, Item};

use super::HubOptions;
use super::hub_flags::HubFile;
use super::on_end;
use super::{Config, IdleExit, parse_idle_exit};
use crate::hooks::Rule;

/// Most days that history is kept; more would overflow nothing, but is a slip of the finger.
const MOST_DAYS: u64 = 36_500;

/// Says what is wrong with `daemon.toml`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadDaemonFile {
    /// It is no TOML.
    #[error("{} is not valid TOML: {problem}", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// The parser's words.
        problem: String,
    },
    /// A key that we know holds something that cannot be.
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

/// What `daemon.toml` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DaemonFile {
    idle_exit: Option<IdleExit>,
    log_level: Option<String>,
    budget_per_minute: Option<u32>,
    backfill: Option<bool>,
    active_interval: Option<Duration>,
    idle_interval: Option<Duration>,
    watched_interval: Option<Duration>,
    sweep_interval: Option<Duration>,
    remote_timeout: Option<Duration>,
    history: Option<Duration>,
    pull: Option<Vec<ArtifactType>>,
    on_end: Option<Vec<Rule>>,
    hub: HubFile,
    unknown: Vec<String>,
}

impl DaemonFile {
    /// Reads the file's text. A key that it does not know is remembered, not refused, so that an
    /// older daemon starts with a newer file.
    ///
    /// # Errors
    ///
    /// [`BadDaemonFile`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, BadDaemonFile> {
        let document: DocumentMut = text.parse().map_err(|e: toml_edit::TomlError| {
            let problem = e.to_string();
            BadDaemonFile::Broken {
                path: path.to_owned(),
                problem: problem.trim_end().replace('\n', " / "),
            }
        })?;
        let mut file = Self::default();
        for (key, item) in document.iter() {
            let taken = file.take(key, item);
            taken.map_err(|problem| BadDaemonFile::Value {
                path: path.to_owned(),
                key: key.to_owned(),
                problem,
            })?;
        }
        Ok(file)
    }

    fn take(&mut self, key: &str, item: &Item) -> Result<(), String> {
        match key {
            "idle_exit" => self.idle_exit = Some(parse_idle_exit(text(item)?)?),
            "log_level" => self.log_level = Some(text(item)?.to_owned()),
            "budget_per_minute" => self.budget_per_minute = Some(number(item, 1, 60_000)?),
            "backfill" => {
                let truth = item.as_bool();
                self.backfill = Some(truth.ok_or("it must be true or false")?);
            }
            "active_interval" => self.active_interval = Some(interval(item)?),
            "idle_interval" => self.idle_interval = Some(interval(item)?),
            "watched_interval" => self.watched_interval = Some(interval(item)?),
            "sweep_interval" => self.sweep_interval = Some(interval(item)?),
            "remote_timeout" => self.remote_timeout = Some(interval(item)?),
            "retention_days" => {
                let days = number(item, 1, MOST_DAYS)?;
                self.history = Some(Duration::from_secs(u64::from(days) * 86_400));
            }
            "pull" => self.pull = Some(types(text(item)?)?),
            "on_end" => self.on_end = Some(on_end::rules(item)?),
            _ if self.hub.take(key, item)? => {}
            _ => self.unknown.push(key.to_owned()),
        }
        Ok(())
    }

    /// Returns what it says of a hub, which flags may still change.
    pub(super) fn hub(&self) -> HubOptions {
        self.hub.options()
    }

    /// Writes what the file says into `config`; the hub is not among it.
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
        set(&mut config.retention.history, self.history);
        set(&mut config.pull.kinds, self.pull);
        set(&mut config.on_end, self.on_end);
        let path = config.places.daemon_file();
        config.warnings.extend(
            self.unknown
                .iter()
                .map(|key| format!("{} has a key nobody reads: `{key}`", path.display())),
        );
    }
}

pub(super) fn text(item: &Item) -> Result<&str, String> {
    item.as_str()
        .ok_or_else(|| "it must be a text in quotes".to_owned())
}

fn number(item: &Item, least: u64, most: u64) -> Result<u32, String> {
    let number = item.as_integer().and_then(|n| u64::try_from(n).ok());
    number
        .filter(|n| (least..=most).contains(n))
        .and_then(|n| u32::try_from(n).ok())
        .ok_or_else(|| format!("it must be a whole number from {least} to {most}"))
}

/// Reads types of artifacts, comma-separated; an empty text is none.
fn types(text: &str) -> Result<Vec<ArtifactType>, String> {
    let names = text
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty());
    names
        .map(|name| {
            let known = ArtifactType::ALL.map(ArtifactType::name).join(", ");
            let problem = || format!("`{name}` is no type of artifact; there are {known}");
            ArtifactType::named(name).ok_or_else(problem)
        })
        .collect()
}

/// Reads an interval; below a second the remote would be flooded and this machine kept awake.
fn interval(item: &Item) -> Result<Duration, String> {
    let time = parse_duration(text(item)?).map_err(|bad| bad.to_string())?;
    if time < Duration::from_secs(1) {
        return Err("it must be 1s or more".to_owned());
    }
    Ok(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<DaemonFile, BadDaemonFile> {
        DaemonFile::parse(Path::new("/h/daemon.toml"), text)
    }

    #[test]
    fn a_key_nobody_knows_is_said_and_not_fatal() {
        let file = parse("frobnicate = 1\nbackfill = false").unwrap();
        assert_eq!(file.unknown, ["frobnicate"]);
        assert_eq!(file.backfill, Some(false));
    }

    #[test]
    fn each_impossible_value_names_its_key_and_file() {
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
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(
                error.contains(&format!("`{key}` in /h/daemon.toml")),
                "{error}"
            );
        }
        assert!(matches!(parse("a = ["), Err(BadDaemonFile::Broken { .. })));
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
        assert!(file.unknown.is_empty(), "{:?}", file.unknown);
        // A field without a row would still be `None`.
        assert!(!format!("{file:?}").contains("None"), "{file:?}");
        let places = docks_proto::paths::Paths {
            home: "/h".into(),
            socket: "/h/run/docksd.sock".into(),
        };
        let plain = Config::of(places);
        let mut written = plain.clone();
        file.apply(&mut written);
        assert_eq!(format!("{written:?}"), format!("{plain:?}"));
    }
}
