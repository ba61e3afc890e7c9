//! The one failure type of the command line, and its exit code.
//!
//! Commands return a [`Failure`]; only `main` turns it into text and a code.

mod client;
mod settings;

use docks_proto::error::{Candidate, ErrorCode, ErrorDetail};

pub(crate) use client::Answerer;
pub(crate) use settings::{credential_failure, settings_failure};

/// What went wrong, as far as exit codes distinguish it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// Any failure without its own code.
    Failed,
    /// The command line is wrong.
    Usage,
    /// No such run, trial or profile.
    NotFound,
    /// Not signed in, or refused.
    Auth,
    /// The remote cannot be reached, and nothing usable is cached.
    Unreachable,
    /// The remote could not confirm the answer within the requested age.
    FreshnessUnmet,
    /// The remote limits the rate of requests.
    RateLimited,
    /// A prefix or name that matches several objects.
    Ambiguous,
    /// The run's process catches no signal, so it can only be killed.
    NeedsKill,
    /// The run had not ended when the wait for it was over.
    StillRunning,
    /// A watched run failed.
    RunFailed,
    /// A watched run was cancelled.
    RunCancelled,
    /// Some artifacts could not be downloaded.
    SomeArtifacts,
    /// A candidate is worse than its baseline by more than is allowed.
    GateDropped,
    /// Nobody can tell whether it is.
    GateUndecided,
    /// Ctrl-C.
    Interrupted,
}

impl Kind {
    /// Returns the exit code; the table in the README says the same.
    #[must_use]
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Kind::Failed | Kind::NeedsKill => 1,
            Kind::Usage => 2,
            Kind::NotFound => 3,
            Kind::Auth => 4,
            Kind::Unreachable => 5,
            Kind::FreshnessUnmet => 6,
            Kind::RateLimited => 7,
            Kind::StillRunning => 8,
            Kind::Ambiguous => 9,
            Kind::RunFailed => 10,
            Kind::RunCancelled => 11,
            Kind::SomeArtifacts => 12,
            Kind::GateDropped => 13,
            Kind::GateUndecided => 14,
            Kind::Interrupted => 130,
        }
    }
}

/// Why a command failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Decides the exit code.
    pub(crate) kind: Kind,
    /// One sentence for people; may contain text of a remote, which is cleaned when printed.
    pub(crate) message: String,
    /// What to do next, one per line.
    pub(crate) hints: Vec<String>,
    /// Objects that an ambiguous id matches.
    pub(crate) candidates: Vec<Candidate>,
}

impl Failure {
    /// Creates a failure without hints.
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hints: Vec::new(),
            candidates: Vec::new(),
        }
    }

    /// Creates a failure without its own exit code.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(Kind::Failed, message)
    }

    /// Creates a usage error.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// Adds what to do next.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Joins an error and its sources into one sentence, each once.
    pub(crate) fn chain(kind: Kind, doing: &str, error: &dyn std::error::Error) -> Self {
        let mut message = format!("{doing}: {error}");
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            if !message.ends_with(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
            source = cause.source();
        }
        Self::new(kind, message)
    }
}

impl From<ErrorDetail> for Failure {
    fn from(detail: ErrorDetail) -> Self {
        let kind = kind_of_code(detail.code);
        let mut failure = Self::new(kind, detail.message);
        failure.hints.extend(detail.hint);
        if failure.hints.is_empty() {
            failure.hints.extend(default_hint(kind).map(str::to_owned));
        }
        if let Some(seconds) = detail.retry_after_s {
            failure = failure.hint(format!("try again in {seconds} s"));
        }
        failure.candidates = detail.candidates;
        failure
    }
}

/// Maps an error code of the daemon.
fn kind_of_code(code: ErrorCode) -> Kind {
    match code {
        ErrorCode::InvalidRequest => Kind::Usage,
        ErrorCode::RunNotFound
        | ErrorCode::TrialNotFound
        | ErrorCode::NotFound
        | ErrorCode::UnknownProfile => Kind::NotFound,
        ErrorCode::AmbiguousId => Kind::Ambiguous,
        ErrorCode::Unauthorized | ErrorCode::Forbidden | ErrorCode::NotSignedIn => Kind::Auth,
        ErrorCode::RateLimited => Kind::RateLimited,
        ErrorCode::NotCached | ErrorCode::RemoteUnreachable | ErrorCode::RemoteBroken => {
            Kind::Unreachable
        }
        ErrorCode::FreshnessUnmet => Kind::FreshnessUnmet,
        ErrorCode::NeedsKill => Kind::NeedsKill,
        ErrorCode::ForbiddenRequest
        | ErrorCode::Unsupported
        | ErrorCode::ShuttingDown
        | ErrorCode::MirrorUnusable
        | ErrorCode::Internal
        | ErrorCode::Unknown => Kind::Failed,
    }
}

/// Returns the hint for a kind of failure that has no better one.
pub(crate) fn default_hint(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Auth => Some("sign in with `docks auth login`, or check your access to this tenant"),
        Kind::NotFound => Some("`docks runs list` and `docks runs eval-list` list what exists"),
        Kind::Ambiguous => Some("type more of the id"),
        Kind::FreshnessUnmet => Some("leave out --fresh or --max-age to see the last known answer"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_the_documented_code() {
        let table = [
            (Kind::Failed, 1),
            (Kind::Usage, 2),
            (Kind::NotFound, 3),
            (Kind::Auth, 4),
            (Kind::Unreachable, 5),
            (Kind::FreshnessUnmet, 6),
            (Kind::RateLimited, 7),
            (Kind::StillRunning, 8),
            (Kind::Ambiguous, 9),
            (Kind::RunFailed, 10),
            (Kind::RunCancelled, 11),
            (Kind::SomeArtifacts, 12),
            (Kind::Interrupted, 130),
        ];
        for (kind, code) in table {
            assert_eq!(kind.exit_code(), code, "{kind:?}");
        }
    }

    #[test]
    fn every_code_of_the_daemon_has_its_exit_code() {
        use ErrorCode as E;
        let table = [
            (E::InvalidRequest, 2),
            (E::ForbiddenRequest, 1),
            (E::RunNotFound, 3),
            (E::TrialNotFound, 3),
            (E::NotFound, 3),
            (E::UnknownProfile, 3),
            (E::AmbiguousId, 9),
            (E::Unauthorized, 4),
            (E::Forbidden, 4),
            (E::NotSignedIn, 4),
            (E::RateLimited, 7),
            (E::NotCached, 5),
            (E::FreshnessUnmet, 6),
            (E::RemoteUnreachable, 5),
            (E::RemoteBroken, 5),
            (E::Unsupported, 1),
            (E::ShuttingDown, 1),
            (E::MirrorUnusable, 1),
            (E::Internal, 1),
            (E::Unknown, 1),
        ];
        for (code, exit) in table {
            assert_eq!(kind_of_code(code).exit_code(), exit, "{code:?}");
        }
    }

    #[test]
    fn a_chain_holds_each_cause_once() {
        let cause = std::io::Error::other("disk is full");
        let failure = Failure::chain(Kind::Failed, "could not write", &cause);
        assert_eq!(failure.message, "could not write: disk is full");
    }
}
