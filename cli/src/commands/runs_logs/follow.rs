//! Shows what comes to logs until their trial has ended.

use std::fs::File;
use std::time::Duration;

use docks_artifacts::ArtifactType;
use docks_artifacts::growing::{Growing, Grown};
use docks_artifacts::source::{Sources, is_local};

use crate::failure::{Failure, Kind};

use super::super::artifact_reader::{ArtifactReader, TrialSnapshot};
use super::{Printer, unreadable};

/// How often a file of this machine is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// How often somebody else is asked.
pub(super) const ASK_AGAIN: Duration = Duration::from_secs(2);

/// A log, and how far it is shown.
pub(super) struct Followed {
    uri: String,
    at_bytes: u64,
    /// What it takes to ask another machine for more; `None` for a file of this one.
    elsewhere: Option<(Growing, Sources)>,
}

impl Followed {
    /// Goes on behind what was shown of a file.
    pub(super) fn after(
        reader: &ArtifactReader<'_>,
        uri: String,
        file: File,
        at_bytes: u64,
    ) -> Result<Self, Failure> {
        if is_local(&uri) {
            return Ok(Self {
                uri,
                at_bytes,
                elsewhere: None,
            });
        }
        let cache = reader.cache()?;
        let growing = Growing::after(&uri, file, at_bytes, &cache);
        let sources = reader.sources(&uri);
        Ok(Self {
            uri,
            at_bytes: 0,
            elsewhere: Some((growing.map_err(unreadable)?, sources)),
        })
    }

    /// Shows what came.
    async fn look(
        &mut self,
        reader: &ArtifactReader<'_>,
        printer: &mut Printer<'_>,
        grows: bool,
    ) -> Result<(), Failure> {
        let file = match &mut self.elsewhere {
            None => reader.open(&self.uri).await?,
            Some((growing, sources)) => {
                let grown = growing.look(sources).await.map_err(|error| {
                    Failure::chain(Kind::Failed, "could not read the log", &error)
                })?;
                if grown == Grown::Anew {
                    self.at_bytes = 0;
                }
                growing.file().map_err(unreadable)?
            }
        };
        self.at_bytes = printer.rest(&self.uri, file, self.at_bytes, grows).await?;
        Ok(())
    }
}

/// Shows what comes until the trial has ended.
pub(super) async fn follow(
    reader: &ArtifactReader<'_>,
    printer: &mut Printer<'_>,
    mut logs: Vec<Followed>,
    mut trial: TrialSnapshot,
) -> Result<(), Failure> {
    let local = logs.iter().all(|log| log.elsewhere.is_none());
    let looks_per_question = if local {
        ASK_AGAIN.as_millis() / LOOK_AGAIN.as_millis()
    } else {
        1
    };
    let mut looks = 0;
    loop {
        // Once more after the end: what came between the last look and the end.
        let last = !trial.active();
        for log in &mut logs {
            log.look(reader, printer, !last).await?;
        }
        if last || printer.context.output.stdout_is_closed() {
            return Ok(());
        }
        tokio::time::sleep(if local { LOOK_AGAIN } else { ASK_AGAIN }).await;
        looks += 1;
        if looks % looks_per_question == 0 {
            trial = reader.trial_again().await?;
            for uri in trial.uris(ArtifactType::Logs) {
                if logs.iter().all(|log| log.uri != uri) {
                    printer.several = true;
                    let file = reader.open(&uri).await?;
                    let again = file.try_clone().map_err(unreadable)?;
                    let at_bytes = printer.rest(&uri, file, 0, trial.active()).await?;
                    logs.push(Followed::after(reader, uri, again, at_bytes)?);
                }
            }
        }
    }
}
