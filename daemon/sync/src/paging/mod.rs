//! Walks a whole list whose paging nobody documented.
//!
//! A walk asks, looks at what came, and learns: pages by cursor when the remote
//! names one, else by `offset` with some overlap (so that objects added or
//! removed meanwhile are noticed), else with a growing `limit`. Long lists are read
//! in larger and larger pages, as far as the remote fills them. It always ends: each
//! page must bring it forward, and their number is bounded.

use std::collections::HashSet;

use docksd_remote::PageRequest;

use super::capabilities::{Known, ListFacts, PageFacts};

/// First page of every list.
pub const FIRST_LIMIT: u32 = 100;
/// Objects that consecutive pages share.
const OVERLAP: u64 = 5;
/// Largest `limit` that a remote without `offset` is asked for.
const LARGEST_LIMIT: u32 = 1 << 17;
/// Bound on the pages of one walk.
const MOST_PAGES: u32 = 200_000;
/// Pages in a row without anything new after which there is nothing to be had.
const MOST_BARREN: u8 = 6;
/// Pages of the first size; a list that goes on is long enough for larger ones.
const SMALL_PAGES: u32 = 4;
/// How often a gap between two pages is looked into again.
const STEPS_BACK: u8 = 3;

/// How a walk ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Everything that the remote lists was seen.
    Whole,
    /// There may be more that cannot be listed.
    Cut,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Mode {
    Offset,
    Growing { before: usize },
    Cursor(String),
}

/// One walk through a list.
#[derive(Debug, Clone)]
pub struct Walk {
    mode: Mode,
    limit: u32,
    /// Places of the list that were walked.
    position: u64,
    asked_offset: u64,
    overlap: u64,
    pages: u32,
    steps_back: u8,
    /// Largest `limit` that this walk saw filled.
    filled: u32,
    /// Length of the page before, when it held less than was asked for.
    short: Option<u64>,
    /// Pages in a row without anything new.
    barren: u8,
    first_page: HashSet<String>,
    last_page: HashSet<String>,
    seen: HashSet<String>,
    cursors: HashSet<String>,
    end: Option<End>,
    whole_lists: bool,
}

impl Walk {
    /// Starts with what is known; `whole_lists` remotes answer everything at once.
    #[must_use]
    pub fn new(facts: &ListFacts, whole_lists: bool) -> Self {
        Self {
            mode: Mode::Offset,
            limit: FIRST_LIMIT.min(facts.page_cap()),
            position: 0,
            asked_offset: 0,
            overlap: 0,
            pages: 0,
            steps_back: 0,
            filled: 0,
            short: None,
            barren: 0,
            first_page: HashSet::new(),
            last_page: HashSet::new(),
            seen: HashSet::new(),
            cursors: HashSet::new(),
            end: None,
            whole_lists,
        }
    }

    /// Returns the next question; `None` when the walk has ended.
    #[must_use]
    pub fn request(&self) -> Option<PageRequest> {
        if self.end.is_some() {
            return None;
        }
        let mut request = PageRequest {
            limit: self.limit,
            offset: 0,
            cursor: None,
        };
        match &self.mode {
            Mode::Offset => request.offset = self.asked_offset,
            Mode::Growing { .. } => {}
            Mode::Cursor(cursor) => request.cursor = Some(cursor.clone()),
        }
        Some(request)
    }

    /// Returns how it ended.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// Returns how many pages were read.
    #[must_use]
    pub fn pages(&self) -> u32 {
        self.pages
    }

    /// Takes the answer to [`Walk::request`] and learns from it.
    pub fn accept(&mut self, page: &PageFacts, facts: &mut ListFacts) {
        self.pages += 1;
        let fresh = page
            .ids
            .iter()
            .filter(|id| !self.seen.contains(*id))
            .count();
        self.barren = if fresh == 0 { self.barren + 1 } else { 0 };
        let asked = self.limit;
        if self.whole_lists {
            self.end = Some(End::Whole);
        } else if self.pages >= MOST_PAGES || self.barren >= MOST_BARREN {
            self.end = Some(End::Cut);
        } else if page.next_cursor.is_some() || matches!(self.mode, Mode::Cursor(_)) {
            self.accept_cursor(page, facts);
        } else if let Mode::Growing { before } = self.mode {
            self.accept_growing(page.len, before);
        } else {
            self.accept_offset(page, fresh, facts);
        }
        if page.len >= asked as usize {
            facts.limit_filled = facts.limit_filled.max(asked);
            self.filled = self.filled.max(asked);
        }
        self.last_page = page.ids.iter().cloned().collect();
        if self.pages == 1 {
            self.first_page.clone_from(&self.last_page);
        }
        self.seen.extend(page.ids.iter().cloned());
        if let Some(end) = self.end {
            facts.cut = end == End::Cut;
        }
    }

    /// Lowers the limit after a refusal; `false` when there is nothing left to lower.
    pub fn refused(&mut self, facts: &mut ListFacts) -> bool {
        if !facts.refused(self.limit) {
            return false;
        }
        match self.mode {
            // The list at the last limit is all that can be had.
            Mode::Growing { .. } => {
                self.end = Some(End::Cut);
                facts.cut = true;
                true
            }
            _ => {
                self.limit /= 2;
                true
            }
        }
    }

    fn accept_cursor(&mut self, page: &PageFacts, facts: &mut ListFacts) {
        facts.cursor = true;
        match &page.next_cursor {
            None => self.end = Some(End::Whole),
            // A cursor that repeats would be followed for ever.
            Some(next) if !self.cursors.insert(next.clone()) => self.end = Some(End::Cut),
            Some(next) => {
                self.mode = Mode::Cursor(next.clone());
                self.enlarge(page.len, facts);
            }
        }
    }

    /// Asks for more at once from now on, if the last page was as long as it was to be.
    fn enlarge(&mut self, len: usize, facts: &ListFacts) {
        if self.pages >= SMALL_PAGES && len >= self.limit as usize {
            let larger = self.limit.saturating_mul(2).min(facts.page_cap());
            self.limit = larger.max(self.limit);
        }
    }

    /// Learns from a page behind a short one that the remote cuts longer pages silently.
    fn learn_cap(&mut self, fresh: usize, facts: &mut ListFacts) {
        let Some(len) = self.short.filter(|_| fresh > 0) else {
            return;
        };
        // Shorter than what was filled before, it was the end, and then the list grew.
        if self.pages == 2 || len >= u64::from(self.filled) {
            facts.limit_capped_at = u32::try_from(len).ok();
        }
    }

    fn accept_growing(&mut self, len: usize, before: usize) {
        if len < self.limit as usize {
            // As many as a smaller limit gave, and that one was full: the server cuts there.
            let capped = len == before && before * 2 >= self.limit as usize;
            self.end = Some(if capped { End::Cut } else { End::Whole });
        } else if self.limit >= LARGEST_LIMIT {
            self.end = Some(End::Cut);
        } else {
            self.mode = Mode::Growing { before: len };
            self.limit *= 2;
        }
    }

    fn accept_offset(&mut self, page: &PageFacts, fresh: usize, facts: &mut ListFacts) {
        let len = page.len as u64;
        if self.asked_offset > 0 && self.ignores_offset(page) {
            facts.offset = Known::Ignored;
            facts.limit_capped_at = None;
            self.mode = Mode::Growing {
                before: self.first_page.len(),
            };
            self.limit = self.limit.saturating_mul(2);
            if facts.limit_refused_at.is_some_and(|n| self.limit >= n) {
                self.end = Some(End::Cut);
            }
            return;
        }
        if self.pages > 1 && self.missed(page, fresh) && self.steps_back < STEPS_BACK {
            self.steps_back += 1;
            self.asked_offset = self.asked_offset.saturating_sub(u64::from(self.limit / 2));
            return;
        }
        if self.pages > 1 {
            facts.offset = Known::Honoured;
        }
        let reached = self.asked_offset + len;
        if reached <= self.position || len == 0 {
            self.end = Some(End::Whole);
            return;
        }
        let short = len < u64::from(self.limit);
        self.learn_cap(fresh, facts);
        self.short = short.then_some(len);
        self.position = reached;
        let uncapped = short && facts.limit_capped_at.is_none();
        // That a large page was filled some other day is no proof: servers change.
        let filled = if self.limit > FIRST_LIMIT {
            self.filled
        } else {
            facts.limit_filled
        };
        if uncapped && filled >= self.limit && facts.offset == Known::Honoured {
            self.end = Some(End::Whole);
            return;
        }
        self.enlarge(page.len, facts);
        self.overlap = OVERLAP.min(self.position / 2).min(len / 2);
        self.asked_offset = self.position - self.overlap;
    }

    /// Tells whether this is the first page, or the one before, again.
    fn ignores_offset(&self, page: &PageFacts) -> bool {
        // Objects added meanwhile push some of a page behind the offset; the whole of it
        // again, in a page as long, is no such push.
        let repeats = |before: &HashSet<String>| {
            let again = page.ids.iter().filter(|id| before.contains(*id)).count() as u64;
            again > self.overlap
                && again * 2 > page.ids.len() as u64
                && again * 10 >= before.len() as u64 * 9
        };
        repeats(&self.first_page) || repeats(&self.last_page)
    }

    /// Tells whether objects may lie between this page and the one before.
    fn missed(&self, page: &PageFacts, fresh: usize) -> bool {
        self.overlap > 0 && (page.len == 0 || fresh == page.ids.len())
    }
}

#[cfg(test)]
mod tests;
