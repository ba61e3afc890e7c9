//! What commands can request about runs, and what they get back.

use bytes::Bytes;
use docks_proto::client::{ClientError, SendError};
use docks_proto::error::ErrorCode;
use docks_proto::freshness::Freshness;
use docks_proto::query::ListQuery;
use docks_proto::routes::{Action, ProcessStop, RunKind};

/// A request that the daemon and the remote both can answer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Request<'a> {
    /// A list of runs.
    Runs(RunKind, &'a ListQuery),
    /// One run by id, prefix or name.
    Run(RunKind, &'a str),
    /// The trials of a run.
    Trials(&'a str, &'a ListQuery),
    /// The trials of all evaluation runs.
    AllTrials(&'a ListQuery),
    /// One trial of a run.
    Trial(&'a str, &'a str),
    /// The files of a trial, or without one the run's own files; the daemon only.
    Files(&'a str, Option<&'a str>),
    /// An action on a run.
    Act(Action, &'a str),
    /// The same, and stopping its process in a way that the user chose; the daemon only.
    StopProcess(Action, &'a str, ProcessStop),
    /// One trial of a run again; the daemon only.
    RetryTrial(&'a str, &'a str),
}

impl Request<'_> {
    /// Returns whether it may be sent again, to the same or another server, after this error.
    ///
    /// A read may always be repeated. An action is repeated only when it surely has not begun:
    /// nobody accepted the connection, or the daemon's protocol and build were checked first.
    pub(super) fn may_be_repeated_after(&self, error: &ClientError) -> bool {
        let is_action = matches!(
            self,
            Request::Act(..) | Request::StopProcess(..) | Request::RetryTrial(..)
        );
        match error {
            ClientError::Send(
                SendError::InvalidRequest(_)
                | SendError::TooLarge { .. }
                | SendError::TooManyElements { .. },
            ) => false,
            ClientError::Send(SendError::Connect { .. })
            | ClientError::Protocol { .. }
            | ClientError::OtherBuild => true,
            ClientError::Send(_) | ClientError::InvalidReply(_) => !is_action,
            ClientError::Refused { body, .. } => {
                body.detail
                    .as_ref()
                    .is_some_and(|detail| match detail.code {
                        // Nothing was sent to the remote.
                        ErrorCode::ShuttingDown | ErrorCode::MirrorUnusable => true,
                        ErrorCode::Internal => !is_action,
                        _ => false,
                    })
            }
        }
    }
}

/// A response with its age.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    /// JSON: an object, or for lists a bare array.
    pub(crate) body: Bytes,
    /// How old it is.
    pub(crate) freshness: Freshness,
    /// Lists: how many match before the cut, where that is known.
    pub(crate) total: Option<u64>,
    /// Empty lists from the daemon: whether the requested statuses were ever seen.
    pub(crate) status_seen: Option<bool>,
}
