//! Finds the runs of a comparison, in one remote or in several.

use std::path::Path;

use docks_proto::comparison::{RemoteReference, RunReference};
use docks_proto::settings::Target;

use super::super::of_several::Wanted;
use crate::ask::{Requester, SeveralRemotes};
use crate::context::Context;
use crate::failure::{Failure, Kind};

/// Finds runs that a command line names.
pub(crate) struct Resolver<'a> {
    pub(crate) context: &'a Context,
    /// The remotes, if they are several.
    pub(crate) several: Option<&'a SeveralRemotes>,
}

impl Resolver<'_> {
    /// Returns the context in which the daemon is asked: any of several remotes will do.
    pub(crate) fn asked(&self) -> &Context {
        match self.several.and_then(|several| several.remotes.first()) {
            Some(first) => &first.context,
            None => self.context,
        }
    }

    /// Finds a run. In one remote, that is left to the daemon.
    ///
    /// # Errors
    ///
    /// When none of several remotes has it, or several have.
    pub(crate) async fn run(&self, given: &str) -> Result<RunReference, Failure> {
        let Some(several) = self.several else {
            return Ok(RunReference::of_request(given));
        };
        let found = several
            .find(self.context, Wanted::Evaluation, given, false)
            .await?;
        let profile = Requester::new(&found.remote.context)?.remote.profile;
        let remote = match profile.target {
            _ if !profile.adhoc => RemoteReference::Profile(profile.name),
            Target::HarborJobs { dirs } => RemoteReference::HarborJobs(dirs),
            // A request has one key, so those of several remotes are those of their profiles.
            Target::HarborServer { url } if profile.inline_token.is_none() => {
                RemoteReference::HarborServer(url)
            }
            _ => {
                let text = format!(
                    "{} cannot be compared with other remotes",
                    found.remote.name
                );
                return Err(Failure::usage(text).hint("save it as a profile: `docks profile add`"));
            }
        };
        Ok(RunReference::Mirrored {
            remote: Some(remote),
            run: found.id,
        })
    }

    /// Finds a run, or the file in which one was saved.
    ///
    /// # Errors
    ///
    /// As [`Resolver::run`], and when what looks like a file is none.
    pub(crate) async fn run_or_file(&self, given: &str) -> Result<RunReference, Failure> {
        let path = Path::new(given);
        if path.is_file() {
            let absolute = path.canonicalize().map_err(|error| {
                Failure::chain(Kind::Failed, &format!("could not open {given}"), &error)
            })?;
            return Ok(RunReference::Saved(absolute));
        }
        if given.ends_with(".json") {
            return Err(
                Failure::new(Kind::NotFound, format!("there is no file {given}"))
                    .hint("`docks runs gate CANDIDATE --save FILE` writes one"),
            );
        }
        self.run(given).await
    }
}
