//! The last lines of the logs of trials that failed, where they are at hand: in a jobs directory, or in the cache of artifacts.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use docks_artifacts::cache::Cache;
use docks_artifacts::digest::Sha256;
use docks_artifacts::source::{Sources, is_local};
use docks_artifacts::{ArtifactType, TrialArtifacts};
use docks_proto::failures::{FailureExample, FailureReport};
use docks_proto::object::RawObject;
use docks_proto::path_encoding::decode_path;
use docks_proto::routes::RunKind;
use docks_proto::settings::Target;
use docks_proto::trial::Trial;
use docksd_harbor::read_end;

use super::Service;
use super::error::ApiError;
use super::files::owner_folder;
use crate::registry::MirroredRemote;

/// Lines of a log that are shown.
const LOG_LINES: usize = 5;
/// The end of a log in which they are looked for.
const LOG_BYTES: u64 = 4 << 10;
/// Most clusters whose examples are shown with their logs: each log is a file to open.
const MAX_CLUSTERS_WITH_LOGS: usize = 50;

/// A log on this machine.
enum LogAtHand {
    /// A file of a jobs directory.
    OnDisk {
        /// The folder of its trial.
        folder: PathBuf,
        /// Its path in there.
        path: PathBuf,
    },
    /// The address of one that may be in the cache, as the cache knows it.
    Cached(Sha256),
}

/// Adds the last lines of the first log of each example, where they can be read without asking the remote.
pub(super) async fn add_logs(
    service: &Service,
    remote: &MirroredRemote,
    report: &mut FailureReport,
) -> Result<(), ApiError> {
    let clusters = report.clusters.iter_mut().take(MAX_CLUSTERS_WITH_LOGS);
    let mut examples: Vec<&mut FailureExample> =
        clusters.flat_map(|cluster| &mut cluster.examples).collect();
    let dirs = match &remote.id.target {
        Target::HarborJobs { dirs } => dirs.clone(),
        _ => Vec::new(),
    };
    let mut logs = Vec::new();
    if dirs.is_empty() {
        // Its keys contain the owner, so that nothing is read that another one has downloaded.
        let variables = &service.config.prefetch.variables;
        let sources = service.registry.artifact_sources(remote, variables);
        for example in &examples {
            logs.push(cached_log(remote, &sources, example).await?);
        }
    } else {
        for example in &examples {
            logs.push(log_on_disk(remote, example).await?);
        }
    }
    let cache = service.registry.artifact_cache();
    let read_all = move || -> Vec<Option<Vec<String>>> {
        let logs = logs.into_iter();
        logs.map(|log| Some(last_lines(&read_log(&log?, &dirs, &cache)?)))
            .collect()
    };
    let name = format!("the logs of {}", remote.database.display());
    let found = service.registry.run_blocking(&name, read_all).await?;
    for (example, log) in examples.iter_mut().zip(found) {
        example.log = log;
    }
    Ok(())
}

/// Finds the first log of a trial in a jobs directory; `None` if it has none.
async fn log_on_disk(
    remote: &MirroredRemote,
    example: &FailureExample,
) -> Result<Option<LogAtHand>, ApiError> {
    let (run_id, trial_id) = (&example.run_id, &example.trial_id);
    let run = remote.mirror.run(RunKind::Evaluation, run_id).await?;
    let trial = remote.mirror.trial(run_id, trial_id).await?;
    Ok(run.zip(trial).and_then(|(run, trial)| {
        let folder = owner_folder(&run.text, Some(&trial.text))?.path;
        let object = RawObject::parse(&trial.text).ok().flatten()?;
        let uri = Trial::from_object(&object).fields.logs_uri.text()?;
        let file = decode_path(uri.strip_prefix("file://")?);
        let path = file.strip_prefix(&folder).ok().map(Path::to_owned)?;
        Some(LogAtHand::OnDisk { folder, path })
    }))
}

/// Returns the log of a trial as the cache knows it; `None` if it has none.
async fn cached_log(
    remote: &MirroredRemote,
    sources: &Sources,
    example: &FailureExample,
) -> Result<Option<LogAtHand>, ApiError> {
    let trial = remote.mirror.trial(&example.run_id, &example.trial_id);
    Ok(trial.await?.and_then(|trial| {
        let object = RawObject::parse(&trial.text).ok().flatten()?;
        let artifacts = TrialArtifacts::from_object(&object);
        let uri = artifacts.uri(ArtifactType::Logs)?;
        (!is_local(uri)).then(|| LogAtHand::Cached(sources.cache_key(uri).hash))
    }))
}

/// Reads the end of a log; `None` if it is not there or cannot be read. Blocks.
fn read_log(log: &LogAtHand, dirs: &[PathBuf], cache: &Cache) -> Option<Vec<u8>> {
    match log {
        LogAtHand::OnDisk { folder, path } => read_end(dirs, folder, path, LOG_BYTES).ok(),
        LogAtHand::Cached(key) => {
            let known = cache.address_record(key)?;
            let mut file = File::open(cache.object_path(&known.sha256)).ok()?;
            let length = file.metadata().ok()?.len();
            let start = SeekFrom::Start(length.saturating_sub(LOG_BYTES));
            file.seek(start).ok()?;
            let mut end = Vec::new();
            file.take(LOG_BYTES).read_to_end(&mut end).ok()?;
            Some(end)
        }
    }
}

/// Returns the last lines of the end of a log. Its first line may be cut.
fn last_lines(end: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(end);
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let shown = &lines[lines.len().saturating_sub(LOG_LINES)..];
    shown.iter().map(|line| (*line).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_of_a_log_have_text_in_them() {
        let log = b"cut\n1\n\n2\n3\r\n  \n4\n\xff5\n\n";
        assert_eq!(last_lines(log), ["1", "2", "3", "4", "\u{fffd}5"]);
        assert!(last_lines(b"").is_empty());
    }
}
