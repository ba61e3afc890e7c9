//! What a request is about: the key by which requests are shared and scheduled.

use docks_proto::routes::RunKind;

use docksd_mirror::Resource;

/// Part of the remote that at most one request at a time is made for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum FetchKey {
    /// The pages of a list that hold its newest and its active runs.
    List(RunKind),
    /// One of several such pages, polled in turn.
    ListPart(RunKind),
    /// All pages of a list, for those who need what the polled ones do not show.
    WholeList(RunKind),
    /// The sweep of a list.
    Sweep(RunKind),
    /// One run.
    Run(RunKind, String),
    /// The trials of an evaluation run.
    Trials(String),
    /// One trial.
    Trial {
        /// Id of its run.
        run: String,
        /// Its id.
        trial: String,
    },
}

impl From<Resource> for FetchKey {
    fn from(resource: Resource) -> Self {
        match resource {
            Resource::List(kind) => FetchKey::List(kind),
            Resource::Run(kind, id) => FetchKey::Run(kind, id),
            Resource::Trials(run) => FetchKey::Trials(run),
        }
    }
}
