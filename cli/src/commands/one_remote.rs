//! Reports over the trials of one remote: which of several remotes that is.

use super::of_several::Wanted;
use crate::ask::SeveralRemotes;
use crate::context::Context;
use crate::failure::Failure;

/// Finds the one of several remotes that has all of the runs, and replaces what names them by their ids.
///
/// # Errors
///
/// When they are in different remotes, or none is named: then `about_all` says what the command is about.
pub(super) async fn find_remote<'a>(
    context: &Context,
    several: &'a SeveralRemotes,
    runs: &mut [String],
    about_all: &str,
) -> Result<&'a Context, Failure> {
    let mut remote: Option<(usize, String)> = None;
    for run in runs {
        let found = several
            .find(context, Wanted::Evaluation, run, false)
            .await?;
        match &remote {
            Some((index, first)) if *index != found.index => {
                return Err(Failure::usage(format!(
                    "these runs are in different remotes: `{first}` and `{run}`"
                ))
                .hint("look at one remote after the other, with -p NAME"));
            }
            _ => remote = Some((found.index, run.clone())),
        }
        *run = found.id;
    }
    let found = remote.and_then(|(index, _)| several.remotes.get(index));
    match found {
        Some(remote) => Ok(&remote.context),
        None => Err(Failure::usage(about_all).hint("name it with -p NAME")),
    }
}
