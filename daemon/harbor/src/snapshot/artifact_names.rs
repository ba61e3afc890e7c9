//! The names of files that are artifacts, or that decide which files are.

/// Files in a trial's folder on which its objects depend.
pub(crate) const TOP_FILES: [&str; 5] = [
    "result.json",
    "config.json",
    "lock.json",
    "trial.log",
    "exception.txt",
];
/// Logs in `verifier/`, in the order of reading.
pub(crate) const VERIFIER_LOGS: [&str; 2] = ["test-stdout.txt", "test-stderr.txt"];
/// Results in `verifier/`, in the order of reading.
pub(crate) const VERIFIER_RESULTS: [&str; 4] = [
    "reward.json",
    "reward.txt",
    "reward-details.json",
    "ctrf.json",
];
/// All of these.
pub(crate) const VERIFIER_FILES: [&str; 6] = [
    VERIFIER_LOGS[0],
    VERIFIER_LOGS[1],
    VERIFIER_RESULTS[0],
    VERIFIER_RESULTS[1],
    VERIFIER_RESULTS[2],
    VERIFIER_RESULTS[3],
];

/// Whether a file is a patch.
pub(crate) fn is_patch(name: &str) -> bool {
    name.ends_with(".patch") || name.ends_with(".diff")
}

/// Whether a file in `agent/` is a log.
pub(crate) fn is_text(name: &str) -> bool {
    name.ends_with(".txt") || name.ends_with(".log")
}

/// Whether a file in `agent/` continues its trajectory.
pub(crate) fn is_continuation(name: &str) -> bool {
    name.starts_with("trajectory.cont-") && name.ends_with(".json")
}

/// Whether a file in `agent/` is a trajectory, or continues one.
pub(crate) fn is_trajectory(name: &str) -> bool {
    matches!(name, "trajectory.json" | "bridge-trajectory.json") || is_continuation(name)
}

/// Whether a file in `agent/` may be an artifact.
pub(crate) fn is_agent_artifact(name: &str) -> bool {
    is_text(name) || is_patch(name) || is_trajectory(name)
}

/// Whether a folder in `agent/` has the output of its set-up or of a command.
pub(crate) fn is_output_of_command(name: &str) -> bool {
    name == "setup" || name.starts_with("command-")
}
