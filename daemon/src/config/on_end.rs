//! `[[on_end]]` in `daemon.toml`: what to do when a run has ended.

use std::time::Duration;

use docks_artifacts::pattern::Pattern;
use docks_proto::object::{Lifecycle, TERMINAL_STATUSES, lifecycle};
use serde::Deserialize;
use serde::de::Deserializer;

use super::value;

/// How long a command may take, unless its rule says otherwise.
pub(super) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// What to do when a run ends.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RuleTable")]
pub struct OnEndRule {
    /// Applies only to remotes of these profiles; empty for all remotes.
    pub profiles: Vec<String>,
    /// Applies only to runs that end with one of these statuses; empty for all statuses.
    pub statuses: Vec<String>,
    /// Applies only to runs whose name or id matches.
    pub name: Option<Pattern>,
    /// Whether to show a desktop notification.
    pub notify: bool,
    /// The program to run and its arguments; empty for none.
    pub exec: Vec<String>,
    /// The program is killed after this time.
    pub timeout: Duration,
}

impl Default for OnEndRule {
    /// A rule that applies to every run and does nothing.
    fn default() -> Self {
        Self {
            profiles: Vec::new(),
            statuses: Vec::new(),
            name: None,
            notify: false,
            exec: Vec::new(),
            timeout: DEFAULT_TIMEOUT,
        }
    }
}

/// One table as it is written. A misspelt key is refused: without its condition the rule would
/// apply to every run.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table under `[[on_end]]`")]
struct RuleTable {
    #[serde(deserialize_with = "value::one_or_more_strings")]
    profile: Vec<String>,
    #[serde(deserialize_with = "value::one_or_more_strings")]
    status: Vec<String>,
    #[serde(deserialize_with = "value::optional_string")]
    name: Option<String>,
    #[serde(deserialize_with = "value::boolean")]
    notify: bool,
    #[serde(deserialize_with = "value::command")]
    exec: Vec<String>,
    #[serde(deserialize_with = "value::optional_timeout")]
    timeout: Option<Duration>,
}

impl TryFrom<RuleTable> for OnEndRule {
    type Error = String;

    fn try_from(table: RuleTable) -> Result<Self, String> {
        let mut statuses = table.status.iter();
        if let Some(status) = statuses.find(|s| lifecycle(s) != Lifecycle::Terminal) {
            let terminal = TERMINAL_STATUSES.join(", ");
            return Err(format!(
                "`{status}` does not end a run; these do: {terminal}"
            ));
        }
        if table.exec.is_empty() && !table.notify {
            return Err("it does nothing; write `notify = true`, or `exec`".to_owned());
        }
        check_program(&table.exec)?;
        Ok(Self {
            profiles: table.profile,
            statuses: table.status,
            name: table.name.as_deref().map(Pattern::parse).transpose()?,
            notify: table.notify,
            exec: table.exec,
            timeout: table.timeout.unwrap_or(DEFAULT_TIMEOUT),
        })
    }
}

/// Checks that the program of a rule, if it has one, is found wherever the daemon was started.
pub(super) fn check_program(exec: &[String]) -> Result<(), String> {
    match exec.first().map(String::as_str) {
        Some("") => Err("`exec` begins with a program".to_owned()),
        // A relative path would depend on the daemon's current directory.
        Some(program) if program.contains('/') && !program.starts_with('/') => Err(format!(
            "the program `{program}` must be an absolute path, or a name that is found in PATH"
        )),
        _ => Ok(()),
    }
}

/// Deserializes all rules.
pub(super) fn rules<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<OnEndRule>>, D::Error> {
    value::tables(deserializer, "[[on_end]]").map(Some)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::file::DaemonFile;

    #[test]
    fn an_error_in_a_rule_names_key_number_and_file() {
        for (rule, problem) in [
            ("notify = 1", "rule 2: `notify`: it must be true"),
            (
                "notify = true\nstauts = \"failed\"",
                "rule 2: `stauts`: unknown field `stauts`, expected one of `profile`",
            ),
            (
                "notify = true\nstatus = \"running\"",
                "rule 2: `running` does not end a run; these do: ",
            ),
            (
                "notify = true\nstatus = []",
                "rule 2: `status`: it must not be empty",
            ),
            (
                "notify = true\nprofile = 3",
                "rule 2: `profile`: it must be a string",
            ),
            ("exec = \"rm -rf\"", "rule 2: `exec`: it must be a list"),
            ("exec = []", "rule 2: `exec`: it must be a list"),
            ("exec = [\"\"]", "rule 2: `exec` begins with a program"),
            (
                "exec = [\"bin/x\"]",
                "rule 2: the program `bin/x` must be an absolute path",
            ),
            ("exec = [\"x\"]\ntimeout = \"soon\"", "rule 2: `timeout`: "),
            ("exec = [\"x\"]\ntimeout = \"0s\"", "rule 2: `timeout`: "),
            ("name = \"x\"", "rule 2: it does nothing"),
            ("notify = true\nname = \"[a\"", "rule 2: "),
        ] {
            let text = format!("[[on_end]]\nnotify = true\n[[on_end]]\n{rule}\n");
            let error = DaemonFile::parse(Path::new("/h/daemon.toml"), &text).unwrap_err();
            let expected = format!("`on_end` in /h/daemon.toml: {problem}");
            assert!(error.to_string().starts_with(&expected), "{error}");
        }
        for text in ["on_end = true", "on_end = [1]", "[on_end]\nnotify = true"] {
            let error = DaemonFile::parse(Path::new("/h/daemon.toml"), text).unwrap_err();
            assert!(error.to_string().contains("[[on_end]]"), "{error}");
        }
    }

    #[test]
    fn rules_are_read_in_both_forms() {
        for text in [
            "[[on_end]]\nstatus = [\"failed\"]\nexec = [\"tell\", \"me\"]\ntimeout = \"5m\"\n",
            "on_end = [{ status = \"failed\", exec = [\"tell\", \"me\"], timeout = \"5m\" }]",
        ] {
            let file = DaemonFile::parse(Path::new("/h/daemon.toml"), text).unwrap();
            let debug = format!("{file:?}");
            for part in ["[\"failed\"]", "[\"tell\", \"me\"]", "timeout: 300s"] {
                assert!(debug.contains(part), "{debug}");
            }
        }
    }
}
