//! Names files of docks that belong to another user as the reason of a failure.

use docks_proto::credentials::foreign_files::ForeignFile;

use super::daemon_endpoint::DaemonEndpoint;
use crate::environment::Environment;
use crate::failure::{Failure, Kind};

/// Adds the hint that a file of docks belongs to another user, where that may be the reason.
pub(crate) fn name_foreign_file(failure: Failure) -> Failure {
    let about_files = match failure.kind {
        Kind::Failed | Kind::Unreachable | Kind::Auth | Kind::Usage => true,
        Kind::NotFound
        | Kind::FreshnessUnmet
        | Kind::RateLimited
        | Kind::Ambiguous
        | Kind::NeedsKill
        | Kind::StillRunning
        | Kind::RunFailed
        | Kind::RunCancelled
        | Kind::SomeArtifacts
        | Kind::GateDropped
        | Kind::GateUndecided
        | Kind::Interrupted => false,
    };
    if !about_files {
        return failure;
    }
    let Ok(endpoint) = DaemonEndpoint::new(Environment::of_process()) else {
        return failure;
    };
    match ForeignFile::find(&endpoint.places) {
        // docksd may have said it already.
        Some(file) if !failure.message.contains(&file.to_string()) => {
            failure.hint(file.to_string())
        }
        _ => failure,
    }
}
