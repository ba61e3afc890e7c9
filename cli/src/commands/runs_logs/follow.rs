//! Prints what is added to logs until their trial has ended.

use std::fs::File;
use std::time::Duration;

use docks_artifacts::remote_tail::{RemoteTail, TailChange};
use docks_artifacts::source::{Sources, is_local};

use crate::failure::{Failure, Kind};

use super::super::artifact_reader::{ArtifactReader, TrialSnapshot};
use super::{Printer, unreadable};

/// Interval for reading a local file.
const FILE_INTERVAL: Duration = Duration::from_millis(200);

/// Interval for requests.
pub(super) const REQUEST_INTERVAL: Duration = Duration::from_secs(2);

/// A log, and how much of it has been printed.
pub(super) struct Followed {
    /// Its path in the trial; the address may change when the trial ends.
    path: String,
    uri: String,
    at_bytes: u64,
    /// How more of it is downloaded; `None` for a local file.
    download: Option<(RemoteTail, Sources)>,
}

impl Followed {
    /// Continues after what was printed of a file.
    pub(super) fn after(
        reader: &ArtifactReader<'_>,
        path: String,
        uri: String,
        file: File,
        at_bytes: u64,
    ) -> Result<Self, Failure> {
        if is_local(&uri) {
            return Ok(Self {
                path,
                uri,
                at_bytes,
                download: None,
            });
        }
        let cache = reader.cache()?;
        let tail = RemoteTail::after(&uri, file, at_bytes, &cache);
        let sources = reader.sources(&uri)?;
        Ok(Self {
            path,
            uri,
            at_bytes: 0,
            download: Some((tail.map_err(unreadable)?, sources)),
        })
    }

    /// Prints what was added.
    async fn print_new(
        &mut self,
        reader: &ArtifactReader<'_>,
        printer: &mut Printer<'_>,
        grows: bool,
    ) -> Result<(), Failure> {
        let file = match &mut self.download {
            None => reader.open(&self.uri).await?,
            Some((tail, sources)) => {
                let change = tail.poll(sources).await.map_err(|error| {
                    Failure::chain(Kind::Failed, "could not read the log", &error)
                })?;
                if change == TailChange::Restarted {
                    self.at_bytes = 0;
                }
                tail.file().map_err(unreadable)?
            }
        };
        self.at_bytes = printer
            .print_from(&self.uri, file, self.at_bytes, grows)
            .await?;
        Ok(())
    }
}

/// Prints what is added until the trial has ended.
pub(super) async fn follow(
    reader: &ArtifactReader<'_>,
    printer: &mut Printer<'_>,
    mut logs: Vec<Followed>,
    mut trial: TrialSnapshot,
) -> Result<(), Failure> {
    let local = logs.iter().all(|log| log.download.is_none());
    let reads_per_request = if local {
        REQUEST_INTERVAL.as_millis() / FILE_INTERVAL.as_millis()
    } else {
        1
    };
    let mut reads = 0;
    loop {
        // Once more after the end, for what was added since the last read.
        let last = !trial.active();
        for log in &mut logs {
            log.print_new(reader, printer, !last).await?;
        }
        if last || printer.context.output.has_lost_reader() {
            return Ok(());
        }
        tokio::time::sleep(if local {
            FILE_INTERVAL
        } else {
            REQUEST_INTERVAL
        })
        .await;
        reads += 1;
        if reads % reads_per_request == 0 {
            trial = reader.trial_again().await?;
            for (path, uri) in trial.logs() {
                if logs.iter().all(|log| log.path != path) {
                    printer.several = true;
                    let file = reader.open(&uri).await?;
                    let again = file.try_clone().map_err(unreadable)?;
                    let at_bytes = printer.print_from(&uri, file, 0, trial.active()).await?;
                    logs.push(Followed::after(reader, path, uri, again, at_bytes)?);
                }
            }
        }
    }
}
