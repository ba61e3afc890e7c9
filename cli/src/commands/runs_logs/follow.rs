//! Shows what comes to logs until their trial has ended.

use std::fs::File;
use std::time::Duration;

use docks_artifacts::ArtifactType;
use docks_artifacts::growing::{Growing, Grown};
use docks_artifacts::source::{Sources, is_local};

use crate::failure::{Failure, Kind};

use super::super::artifact_reader::{Now, Reading};
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
        reading: &Reading<'_>,
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
        let cache = reading.cache()?;
        let growing = Growing::after(&uri, file, at_bytes, &cache);
        let sources = reading.sources(&uri);
        Ok(Self {
            uri,
            at_bytes: 0,
            elsewhere: Some((growing.map_err(unreadable)?, sources)),
        })
    }

    /// Shows what came.
    async fn look(
        &mut self,
        reading: &Reading<'_>,
        printer: &mut Printer<'_>,
        grows: bool,
    ) -> Result<(), Failure> {
        let file = match &mut self.elsewhere {
            None => reading.open(&self.uri).await?,
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
    reading: &Reading<'_>,
    printer: &mut Printer<'_>,
    mut logs: Vec<Followed>,
    mut now: Now,
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
        let last = !now.active();
        for log in &mut logs {
            log.look(reading, printer, !last).await?;
        }
        if last || printer.context.output.reader_is_gone() {
            return Ok(());
        }
        tokio::time::sleep(if local { LOOK_AGAIN } else { ASK_AGAIN }).await;
        looks += 1;
        if looks % looks_per_question == 0 {
            now = reading.now(true).await?;
            for uri in now.uris(ArtifactType::Logs) {
                if logs.iter().all(|log| log.uri != uri) {
                    printer.several = true;
                    let file = reading.open(&uri).await?;
                    let again = file.try_clone().map_err(unreadable)?;
                    let at_bytes = printer.rest(&uri, file, 0, now.active()).await?;
                    logs.push(Followed::after(reading, uri, again, at_bytes)?);
                }
            }
        }
    }
}
