//! Polls of a list: of all its polled parts at once, of one part after the other, in rounds, or of the whole list.

use std::collections::VecDeque;
use std::sync::Arc;

use docks_proto::object::RawObject;
use docks_proto::paging::{
    FIRST_LIMIT, ListCapabilities, ListWalk, PageRequest, PageSummary, WalkEnd, WalkOptions,
};
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;

use docksd_remote::Validator;

use super::list_polling::Window;

/// The last complete answer to the poll of a list, to be written again after a 304.
#[derive(Debug, Clone)]
pub struct CachedPage {
    /// The page that was requested.
    pub page: PageRequest,
    /// Validator of the answer.
    pub validator: Validator,
    /// Objects of the answer.
    pub objects: Arc<Vec<RawObject>>,
    /// Length of the whole list, if the remote reported it.
    pub total: Option<u64>,
}

/// One poll of a list.
#[derive(Debug, Clone)]
pub struct ListPoll {
    /// Which list.
    pub kind: RunKind,
    /// Which part of it.
    pub parts: PolledParts,
    /// Last answer to the same request.
    pub cached: Option<CachedPage>,
    /// Whether the mirror holds the whole list, apart from what this poll shows.
    pub complete: bool,
    /// Whether an empty list is requested again before it is believed.
    pub doubts_empty: bool,
    /// Whether runs that the pages should show, and do not, are asked for.
    pub checks_unlisted: bool,
}

impl ListPoll {
    /// Returns the pages to request.
    #[must_use]
    pub fn requests(&self) -> PageRequests {
        match &self.parts {
            PolledParts::Whole(whole) => PageRequests::Walk(whole.clone()),
            PolledParts::All(windows) => PageRequests::Pages(windows.iter().map(page_of).collect()),
            PolledParts::One(turn) => PageRequests::Pages([turn.page()].into()),
        }
    }

    /// Returns the only page that the poll requests, if it is one.
    #[must_use]
    pub fn only_page(&self) -> Option<PageRequest> {
        match &self.parts {
            PolledParts::All(windows) if windows.len() == 1 => windows.first().map(page_of),
            PolledParts::One(turn) => Some(turn.page()),
            PolledParts::All(_) | PolledParts::Whole(_) => None,
        }
    }
}

/// The pages that a poll requests one after the other.
#[derive(Debug)]
pub enum PageRequests {
    /// These.
    Pages(VecDeque<PageRequest>),
    /// As many as it takes.
    Walk(Box<WholeList>),
}

impl PageRequests {
    /// Returns the page to request now.
    pub fn next_page(&mut self) -> Option<PageRequest> {
        match self {
            Self::Pages(pages) => pages.pop_front(),
            Self::Walk(whole) => whole.walk.request(),
        }
    }

    /// Takes the page that was requested.
    pub fn accept(&mut self, page: &PageSummary) {
        match self {
            Self::Pages(pages) if page.len == 0 => pages.clear(),
            Self::Pages(_) => {}
            Self::Walk(whole) => whole.walk.accept(page, &mut whole.known),
        }
    }

    /// Takes a refusal of the page that was requested; returns whether a smaller one is requested next.
    pub fn refused(&mut self) -> bool {
        match self {
            Self::Pages(_) => false,
            Self::Walk(whole) => whole.walk.refused(&mut whole.known),
        }
    }

    /// Whether the pages were a walk that has read everything that the remote lists.
    #[must_use]
    pub fn have_walked_whole_list(&self) -> bool {
        matches!(self, Self::Walk(whole) if whole.walk.end() == Some(WalkEnd::Complete))
    }
}

fn page_of(window: &Window) -> PageRequest {
    PageRequest {
        limit: Some(window.limit),
        offset: window.offset,
        cursor: None,
    }
}

/// What a poll reads of a list.
#[derive(Debug, Clone)]
pub enum PolledParts {
    /// All of its polled parts, so that the poll confirms the list by itself.
    All(Vec<Window>),
    /// One polled part, whose turn it is.
    One(Turn),
    /// The whole list.
    Whole(Box<WholeList>),
}

impl PolledParts {
    /// Whether the parts begin with the first one.
    #[must_use]
    pub fn include_first(&self) -> bool {
        match self {
            Self::All(_) | Self::Whole(_) => true,
            Self::One(turn) => turn.number == 0,
        }
    }

    /// Returns what was read before, in this round, of a list of which the poll reads the rest: nothing if it
    /// reads all. `None` if parts of the list remain unread.
    #[must_use]
    pub fn completes(&self) -> Option<&[PageSummary]> {
        match self {
            Self::All(_) | Self::Whole(_) => Some(&[]),
            Self::One(turn) if turn.number + 1 < turn.windows.len() => None,
            Self::One(turn) => turn.round.as_ref().map(|round| round.pages.as_slice()),
        }
    }

    /// Returns the time that the list is confirmed for when the poll is stored, if it began at `began`: a round
    /// is as old as its first poll.
    #[must_use]
    pub fn confirms(&self, began: UnixMs) -> Option<UnixMs> {
        self.completes()?;
        match self {
            Self::One(Turn {
                round: Some(round), ..
            }) => Some(round.began),
            _ => Some(began),
        }
    }

    /// Returns all polled parts, if the poll reads some of these.
    #[must_use]
    pub fn windows(&self) -> &[Window] {
        match self {
            Self::All(windows) => windows,
            Self::One(turn) => &turn.windows,
            Self::Whole(_) => &[],
        }
    }

    /// Returns the number of requests that the poll makes, as far as it is known before.
    #[must_use]
    pub fn expected_requests(&self) -> usize {
        match self {
            Self::All(windows) => windows.len(),
            Self::One(_) => 1,
            Self::Whole(whole) => whole.expected_requests,
        }
    }
}

/// A walk through a whole list.
#[derive(Debug, Clone)]
pub struct WholeList {
    walk: ListWalk,
    known: ListCapabilities,
    expected_requests: usize,
}

impl WholeList {
    /// Begins a walk through a list of which the mirror has this number of rows.
    #[must_use]
    pub fn new(known: &ListCapabilities, rows: u64) -> Self {
        let hundred = u64::from(FIRST_LIMIT);
        let limit = (rows + 1).div_ceil(hundred) * hundred;
        let cap = known.page_cap();
        let options = WalkOptions {
            first_limit: u32::try_from(limit).unwrap_or(cap).min(cap),
            ..WalkOptions::sweep(false)
        };
        Self {
            walk: ListWalk::new(known, options),
            known: known.clone(),
            expected_requests: usize::try_from(limit.div_ceil(u64::from(cap))).unwrap_or(1),
        }
    }
}

/// The turn of one of several parts.
#[derive(Debug, Clone)]
pub struct Turn {
    /// Which part, from 0.
    pub number: usize,
    /// All parts.
    pub windows: Vec<Window>,
    /// The polls of the parts before this one, if all of them succeeded.
    pub round: Option<Round>,
}

impl Turn {
    fn page(&self) -> PageRequest {
        page_of(&self.windows[self.number])
    }

    /// Returns the round after a poll of this part that began at `began` and was stored; `None` if the
    /// round is complete, or lacks a part.
    #[must_use]
    pub fn next_round(&self, began: UnixMs, page: &PageSummary) -> Option<Round> {
        let mut round = match self.number {
            0 => Round {
                began,
                windows: self.windows.clone(),
                pages: Vec::new(),
            },
            _ => self.round.clone()?,
        };
        round.pages.push(page.clone());
        (round.pages.len() < self.windows.len()).then_some(round)
    }
}

/// Polls of the first parts of a list, one after the other.
#[derive(Debug, Clone)]
pub struct Round {
    /// When the first of them began.
    began: UnixMs,
    /// All parts. When they change, what was read does not join what will be.
    windows: Vec<Window>,
    /// What each part had.
    pages: Vec<PageSummary>,
}

impl Round {
    /// Whether part `number` of `windows` is the next one of the round.
    #[must_use]
    pub fn continues_with(&self, number: usize, windows: &[Window]) -> bool {
        self.pages.len() == number && self.windows == windows
    }
}
