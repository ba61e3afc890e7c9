//! The task and the agent of a trial, as configured.

use crate::format::json::Object;

/// An agent as configured: what distinguishes the variants of a job.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct AgentKey {
    /// Its name, or the import path of a custom agent; `oracle` if nothing is configured.
    pub(crate) name: String,
    /// Model, `provider/model` or bare.
    pub(crate) model: Option<String>,
}

impl AgentKey {
    /// Reads an agent's configuration; Harbor leaves out what equals its default.
    pub(crate) fn read(agent: &Object<'_>) -> Self {
        Self {
            name: agent
                .text("name")
                .or_else(|| agent.text("import_path"))
                .unwrap_or_else(|| "oracle".to_owned()),
            model: agent.text("model_name"),
        }
    }
}

/// A task as configured.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TaskRef {
    /// The path of a local task, or the name of a packaged one.
    pub(crate) path_or_name: String,
    /// Commit of a task from git.
    pub(crate) commit: Option<String>,
    /// Its short name: the last part of the path or name.
    pub(crate) slug: String,
    /// The dataset it belongs to.
    pub(crate) source: Option<String>,
}

impl TaskRef {
    /// Reads a task of a lock or a trial configuration.
    pub(crate) fn read(task: &Object<'_>) -> Self {
        let path = task.text("path");
        let name = task.text("name");
        let path_or_name = path.or(name).unwrap_or_default();
        Self {
            slug: last_part(&path_or_name).to_owned(),
            path_or_name,
            commit: task.text("git_commit_id"),
            source: task.text("source"),
        }
    }
}

/// Returns what follows the last slash.
pub(crate) fn last_part(name: &str) -> &str {
    let name = name.trim_end_matches('/');
    name.rsplit('/').next().unwrap_or(name)
}
