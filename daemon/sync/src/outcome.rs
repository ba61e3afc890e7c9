//! What a step found out.

use docks_proto::object::RawObject;
use docks_proto::paging::PageSummary;

use docksd_remote::RemoteError;

use super::error::SyncError;
use super::list_poll::CachedPage;

/// What a task found.
#[derive(Debug)]
pub enum Answer {
    /// Pages of a list that is polled.
    ListPages {
        /// Summary of each page.
        pages: Vec<PageSummary>,
        /// The answer to keep for the next 304.
        cache: Option<CachedPage>,
        /// Whether the list was empty and is not believed yet.
        doubtful: bool,
        /// Whether the mirror has the pages as the remote sent them.
        is_settled: bool,
        /// Whether the pages, with those before them in the same round, end where the list does.
        end: ListEnd,
        /// Whether the remote still has a run that the pages should show, and do not.
        lacks_rows: bool,
    },
    /// A page of a sweep.
    SweepPage {
        /// Number of the sweep.
        sweep: u64,
        /// Summary of the page.
        page: PageSummary,
    },
    /// Ids of the runs that a sweep did not see.
    Unseen(Vec<String>),
    /// A run that a sweep did not see was fetched.
    UnseenChecked {
        /// Whether the remote no longer has it.
        gone: bool,
    },
    /// An object or the trials of a run were stored or confirmed.
    Stored {
        /// Whether they were an empty list that is not believed yet.
        doubtful: bool,
        /// Whether some of the trials have not ended.
        open_trials: bool,
    },
    /// Changes that the remote reported were stored.
    Changes {
        /// Ids of the changed runs.
        runs: Vec<String>,
    },
    /// The remote carried out an action.
    Acted(Acted),
    /// The task returns nothing.
    Done,
}

/// How certain it is that the pages of a list end where the list does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListEnd {
    /// There may be more.
    Unknown,
    /// The last page is shorter than requested: it is the last one unless the remote caps its pages.
    ShortPage,
    /// The remote says so, or showed it.
    Proven,
}

/// What the remote made of an action.
#[derive(Debug, Clone)]
pub struct Acted {
    /// The run afterwards.
    pub object: RawObject,
    /// Whether the mirror has it, too.
    pub is_mirrored: bool,
}

/// How a step ended.
#[derive(Debug)]
pub struct Outcome {
    /// What the task found, or why it failed.
    pub answer: Result<Answer, SyncError>,
    /// Number of requests made.
    pub requests: u64,
    /// Number of requests answered with 304.
    pub not_modified: u64,
    /// Whether the content of the mirror changed.
    pub changed: bool,
    /// Whether the mirror holds a live run that the remote says does not exist.
    pub contradicts: bool,
    /// Whether the response reopened something that had ended, which the mirror believes only when a
    /// second, later response says the same.
    pub reopens: bool,
    /// Whether runs that the response does not show remain to be asked for.
    pub unproved: bool,
}

impl Outcome {
    /// Whether the mirror does not have yet what the response says.
    #[must_use]
    pub fn is_unsettled(&self) -> bool {
        self.reopens || self.unproved
    }

    /// Returns the outcome of a step that panicked: a defect, treated like a broken answer.
    #[must_use]
    pub fn panicked() -> Self {
        let why = "reading it panicked".to_owned();
        Self {
            answer: Err(RemoteError::InvalidResponse { why }.into()),
            requests: 1,
            not_modified: 0,
            changed: false,
            contradicts: false,
            reopens: false,
            unproved: false,
        }
    }
}
