//! What a file of a trial or a job is, by its path.

use crate::snapshot::artifact_names::{
    VERIFIER_LOGS, VERIFIER_RESULTS, is_output_of_command, is_trajectory,
};

/// Types beyond the four of the Docks API, which have the rules of `snapshot::trial_artifacts`.
pub(super) const OTHER: &str = "other";

/// Returns the type of a file from its path relative to the folder of its trial or job.
///
/// The four types of the Docks API are what the object of the trial says; here they are told by name alone.
#[must_use]
pub fn file_type(path: &str) -> &'static str {
    let in_step = path
        .strip_prefix("steps/")
        .and_then(|rest| rest.split_once('/'));
    let path = in_step.map_or(path, |(_, rest)| rest);
    let name = path.rsplit('/').next().unwrap_or(path);
    let extension = name.rsplit_once('.').map(|(_, extension)| extension);
    let extension = extension.unwrap_or_default().to_ascii_lowercase();
    match path.split_once('/') {
        Some(("artifacts", _)) => match extension.as_str() {
            "patch" | "diff" => "diff",
            _ => "output",
        },
        Some(("verifier", name)) if VERIFIER_LOGS.contains(&name) => "logs",
        Some(("verifier", name)) if VERIFIER_RESULTS.contains(&name) => "result",
        _ if is_recording(&extension) => "recording",
        _ if is_media(&extension) => "media",
        Some(("verifier", _)) => "verifier",
        Some(("agent", below)) => agent_file_type(below, &extension),
        Some(("user-agent", _)) => "session",
        Some(_) => OTHER,
        None => match name {
            "result.json" => "result",
            "job.log" | "trial.log" | "exception.txt" => "logs",
            "config.json" | "lock.json" | "stream.json" => "config",
            _ => OTHER,
        },
    }
}

fn agent_file_type(below: &str, extension: &str) -> &'static str {
    let is_output = |name: &str| matches!(name, "stdout.txt" | "stderr.txt");
    match below.split_once('/') {
        None if is_trajectory(below) => "trajectory",
        None if below.starts_with("trajectory.") || extension == "jsonl" => "session",
        None if below == "exit-code.txt" => "agent",
        None => match extension {
            "txt" | "log" => "logs",
            "patch" | "diff" => "diff",
            _ => "agent",
        },
        Some((folder, name)) if is_output_of_command(folder) && is_output(name) => "logs",
        Some((folder, _)) if folder.starts_with("episode-") => "session",
        Some(_) if extension == "jsonl" || has_folder(below, "sessions") => "session",
        Some(_) => "agent",
    }
}

fn has_folder(path: &str, name: &str) -> bool {
    let mut folders = path.split('/').rev().skip(1);
    folders.any(|folder| folder == name)
}

/// Recordings of a terminal or a screen, and contents of terminal panes.
fn is_recording(extension: &str) -> bool {
    ["cast", "mp4", "webm", "mov", "mkv", "pane"].contains(&extension)
}

/// Images and sounds, such as those that a trajectory points to.
fn is_media(extension: &str) -> bool {
    [
        "png", "jpg", "jpeg", "gif", "webp", "bmp", "svg", "wav", "mp3", "ogg", "flac", "m4a",
    ]
    .contains(&extension)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_that_harbor_or_an_agent_leaves_has_a_type() {
        for (path, expected) in [
            ("config.json", "config"),
            ("lock.json", "config"),
            ("stream.json", "config"),
            ("job.log", "logs"),
            ("trial.log", "logs"),
            ("exception.txt", "logs"),
            ("result.json", "result"),
            ("analysis.md", "other"),
            ("agent/oracle.txt", "logs"),
            ("agent/exit-code.txt", "agent"),
            ("agent/setup/stdout.txt", "logs"),
            ("agent/setup/return-code.txt", "agent"),
            ("agent/command-3/stderr.txt", "logs"),
            ("agent/trajectory.json", "trajectory"),
            ("agent/trajectory.cont-1.json", "trajectory"),
            ("agent/trajectory.summarization-1.json", "session"),
            ("agent/trae-agent.patch", "diff"),
            ("agent/recording.cast", "recording"),
            ("agent/recording.MP4", "recording"),
            ("agent/terminus_2.pane", "recording"),
            ("agent/images/step_1.png", "media"),
            ("agent/episode-12/prompt.txt", "session"),
            ("agent/claude.jsonl", "session"),
            ("agent/sessions/projects/-app/x.json", "session"),
            ("agent/deep/er/log.jsonl", "session"),
            ("agent/mcp.toml", "agent"),
            ("user-agent/trajectory.json", "session"),
            ("verifier/test-stdout.txt", "logs"),
            ("verifier/reward.json", "result"),
            ("verifier/ctrf.json", "result"),
            ("verifier/report.html", "verifier"),
            ("verifier/shot.png", "media"),
            ("artifacts/manifest.json", "output"),
            ("artifacts/app/plot.png", "output"),
            ("artifacts/logs/artifacts/changes.patch", "diff"),
            ("steps/one/agent/coder.txt", "logs"),
            ("steps/one/verifier/reward.txt", "result"),
            ("steps/one/artifacts/x", "output"),
            ("steps/readme", "other"),
            ("odd/file.bin", "other"),
        ] {
            assert_eq!(file_type(path), expected, "{path}");
        }
    }
}
