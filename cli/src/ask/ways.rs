//! The ladder as the ways that a question is tried on.

use std::sync::atomic::{AtomicBool, Ordering};

use docks_proto::client::ClientError;

use super::{Ladder, Reached};
use crate::ask::request::{Way, Ways};
use crate::failure::Failure;
use crate::output::Output;

/// Tries the ladder's rungs, and says on stderr when the daemon is passed by.
#[derive(Debug)]
pub(crate) struct Rungs<'a> {
    ladder: &'a Ladder,
    output: &'a Output,
    /// Whether a stale answer would do when the remote cannot be reached.
    may_be_old: bool,
    asked_mirror: AtomicBool,
}

impl<'a> Rungs<'a> {
    /// Takes the ladder, where to say what was coped with, and whether old answers are wanted at all.
    pub(crate) fn new(ladder: &'a Ladder, output: &'a Output, may_be_old: bool) -> Self {
        Self {
            ladder,
            output,
            may_be_old,
            asked_mirror: AtomicBool::new(false),
        }
    }

    fn way(&self, reached: Reached) -> Way {
        match reached {
            Reached::Daemon(client) => Way::Daemon(client),
            Reached::Remote { client, why } => {
                match why {
                    Some(why) => self.output.note(format!("{why}; asking the remote itself")),
                    None if self.ladder.disabled().is_some() => {
                        self.output.verbose("asking the remote itself");
                    }
                    None => self
                        .output
                        .verbose("starting docksd; asking the remote itself"),
                }
                Way::Remote(client)
            }
        }
    }
}

impl Ways for Rungs<'_> {
    async fn first(&self) -> Result<Way, Failure> {
        Ok(self.way(self.ladder.reach().await?))
    }

    async fn next(&self, failed: &Way, error: &ClientError) -> Result<Option<Way>, Failure> {
        if let Way::Daemon(_) = failed {
            // After the remote failed, the daemon was the last to ask.
            if self.asked_mirror.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let reached = self.ladder.fall(error).await?;
            return Ok(reached.map(|reached| self.way(reached)));
        }
        let unreachable = match error {
            ClientError::Send(_) | ClientError::InvalidReply(_) => true,
            ClientError::Refused { status, .. } => *status >= 500,
            ClientError::Protocol { .. } => false,
        };
        if !unreachable || !self.may_be_old || self.asked_mirror.swap(true, Ordering::Relaxed) {
            return Ok(None);
        }
        Ok(self.ladder.mirror_instead().await.map(Way::Daemon))
    }
}
