//! The state machine that reads a list page by page.
//!
//! It follows cursors where the remote returns them. Otherwise it pages by `offset`, with some
//! overlap so that objects added or removed meanwhile are noticed. Where `offset` is ignored, it
//! requests the whole list with a growing `limit`. Every page must bring the walk forward and
//! the number of pages is bounded, so a walk always ends.

use std::collections::HashSet;

use super::capabilities::{LARGEST_PAGE, ListCapabilities, Support};
use super::options::{FIRST_LIMIT, SMALLER_LIMITS, WalkOptions};
use super::page::{PageRequest, PageSummary};

/// Number of objects that consecutive pages share.
const OVERLAP: u64 = 5;
/// Maximum number of pages of one walk.
const MAX_PAGES: u32 = 200_000;
/// Pages in a row without a new object after which a walk gives up.
const MAX_BARREN_PAGES: u8 = 6;
/// Pages of the first size; a list that continues after them is worth larger pages.
const SMALL_PAGES: u32 = 4;
/// Steps back in a row to look for the gap between two pages.
const MAX_STEPS_BACK: u8 = 3;
/// Steps back of a whole walk.
const MAX_TOTAL_STEPS_BACK: u8 = 30;
/// Pages in a row of one length, shorter than requested, that prove a cap: a page shorter than
/// these is the last one.
const PROVEN_CAP_PAGES: u32 = 3;

/// How a walk ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WalkEnd {
    /// Everything that the remote lists was read.
    Complete,
    /// There may be more, which cannot be listed or was not wanted.
    Incomplete,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Mode {
    Offset,
    /// `offset` is ignored; the page before had this many objects.
    GrowingLimit {
        previous_len: usize,
    },
    Cursor(String),
}

/// One walk through a list.
#[derive(Debug, Clone)]
pub struct ListWalk {
    options: WalkOptions,
    mode: Mode,
    limit: u32,
    /// Largest limit that this walk may still request, since a larger one was refused.
    limit_ceiling: u32,
    /// Largest limit that the remote accepted in this walk.
    accepted_limit: Option<u32>,
    /// Largest limit that the remote filled in this walk.
    filled_limit: u32,
    /// Offset of the page that was requested last.
    offset: u64,
    /// Number of places of the list that were read.
    position: u64,
    overlap: u64,
    pages: u32,
    barren_pages: u8,
    steps_back: u8,
    total_steps_back: u8,
    /// Whether this page was requested to look for a gap.
    stepped_back: bool,
    /// Length of the previous page.
    previous_len: u64,
    /// Length of the previous page, if it was shorter than requested.
    short_len: Option<u64>,
    /// Pages in a row that had `short_len`.
    short_pages: u32,
    first_len: u64,
    first_page: HashSet<String>,
    previous_page: HashSet<String>,
    seen: HashSet<String>,
    cursors: HashSet<String>,
    end: Option<WalkEnd>,
}

/// What a page means for the walk.
struct Progress {
    /// Different objects; one that comes twice takes one place of the list.
    len: u64,
    /// Objects that no page before had.
    new_objects: usize,
    /// Whether no page before had any of the objects.
    all_new: bool,
    /// Whether the page is shorter than requested.
    short: bool,
}

impl ListWalk {
    /// Starts a walk with what is known of the list.
    #[must_use]
    pub fn new(known: &ListCapabilities, options: WalkOptions) -> Self {
        Self {
            mode: Mode::Offset,
            limit: options.first_limit.min(known.page_cap()),
            limit_ceiling: u32::MAX,
            accepted_limit: None,
            filled_limit: 0,
            offset: 0,
            position: 0,
            overlap: 0,
            pages: 0,
            barren_pages: 0,
            steps_back: 0,
            total_steps_back: 0,
            stepped_back: false,
            previous_len: 0,
            short_len: None,
            short_pages: 0,
            first_len: 0,
            first_page: HashSet::new(),
            previous_page: HashSet::new(),
            seen: HashSet::new(),
            cursors: HashSet::new(),
            end: None,
            options,
        }
    }

    /// Returns the page to request next, or `None` when the walk has ended.
    #[must_use]
    pub fn request(&self) -> Option<PageRequest> {
        if self.end.is_some() {
            return None;
        }
        let mut request = PageRequest {
            limit: (!self.options.whole_lists).then_some(self.limit),
            ..PageRequest::default()
        };
        match &self.mode {
            Mode::Offset => request.offset = self.offset,
            Mode::GrowingLimit { .. } => {}
            Mode::Cursor(cursor) => request.cursor = Some(cursor.clone()),
        }
        Some(request)
    }

    /// Returns how the walk ended, or `None` while it continues.
    #[must_use]
    pub fn end(&self) -> Option<WalkEnd> {
        self.end
    }

    /// Returns the number of pages read.
    #[must_use]
    pub fn pages(&self) -> u32 {
        self.pages
    }

    /// Takes the page that [`ListWalk::request`] described and records what it shows.
    pub fn accept(&mut self, page: &PageSummary, learned: &mut ListCapabilities) {
        self.pages += 1;
        let limit = self.limit;
        self.accepted_limit = Some(self.accepted_limit.map_or(limit, |n| n.max(limit)));
        let ids: HashSet<&String> = page.ids.iter().collect();
        let new_objects = ids.iter().filter(|id| !self.seen.contains(**id)).count();
        let progress = Progress {
            len: (page.len - (page.ids.len() - ids.len())) as u64,
            new_objects,
            all_new: new_objects == ids.len(),
            short: page.len < limit as usize,
        };
        self.barren_pages = if new_objects == 0 {
            self.barren_pages + 1
        } else {
            0
        };
        let follows_cursor = page.next_cursor.is_some() || matches!(self.mode, Mode::Cursor(_));
        if self.pages >= MAX_PAGES || self.barren_pages >= MAX_BARREN_PAGES {
            self.end = Some(WalkEnd::Incomplete);
        } else if follows_cursor {
            self.accept_cursor(page, learned);
        } else if self.options.whole_lists {
            self.end = Some(WalkEnd::Complete);
        } else if let Mode::GrowingLimit { previous_len } = self.mode {
            self.accept_growing(page.len, previous_len, learned);
        } else if self.steps_back(page, &progress) {
            // What was read beyond the gap is read again, and is no sign that the gap is closed.
            return;
        } else {
            self.accept_offset(page, &progress, learned);
        }
        if !progress.short && !self.options.whole_lists {
            learned.limit_filled = learned.limit_filled.max(limit);
            self.filled_limit = self.filled_limit.max(limit);
        }
        self.previous_len = progress.len;
        self.previous_page = page.ids.iter().cloned().collect();
        if self.pages == 1 {
            self.first_len = progress.len;
            self.first_page.clone_from(&self.previous_page);
        }
        self.seen.extend(page.ids.iter().cloned());
        if let Some(end) = self.end {
            learned.incomplete = end == WalkEnd::Incomplete;
        } else if self.has_enough() {
            self.end = Some(WalkEnd::Incomplete);
        }
    }

    fn has_enough(&self) -> bool {
        let max = self.options.max_objects;
        max.is_some_and(|max| self.seen.len() as u64 >= max)
    }

    /// Takes a refusal of the page; returns `false` if a smaller limit cannot help.
    pub fn refused(&mut self, learned: &mut ListCapabilities) -> bool {
        let refused = self.limit;
        match self.accepted_limit {
            // The remote accepted this limit before, so it refuses something else.
            Some(accepted) if accepted >= refused => return false,
            Some(accepted) => {
                let half = refused / 2;
                if !matches!(self.mode, Mode::GrowingLimit { .. }) {
                    self.limit = accepted;
                } else if half > accepted {
                    self.limit = half;
                } else {
                    self.end = Some(WalkEnd::Incomplete);
                    learned.incomplete = true;
                }
            }
            None => match SMALLER_LIMITS.iter().find(|limit| **limit < refused) {
                Some(smaller) => self.limit = *smaller,
                None => {
                    learned.record_refusal(refused);
                    return false;
                }
            },
        }
        self.limit_ceiling = match self.accepted_limit {
            Some(_) => refused - 1,
            // Limits in between are not worth another refusal.
            None => self.limit,
        };
        learned.record_refusal(refused);
        true
    }

    fn accept_cursor(&mut self, page: &PageSummary, learned: &mut ListCapabilities) {
        learned.cursor = true;
        match &page.next_cursor {
            None => self.end = Some(WalkEnd::Complete),
            // Following a cursor that repeats would never end.
            Some(next) if !self.cursors.insert(next.clone()) => {
                self.end = Some(WalkEnd::Incomplete);
            }
            Some(next) => {
                self.mode = Mode::Cursor(next.clone());
                self.enlarge_page(page.len, learned);
            }
        }
    }

    /// Doubles the page size, if the first pages were filled.
    fn enlarge_page(&mut self, len: usize, learned: &ListCapabilities) {
        if self.pages >= SMALL_PAGES && len >= self.limit as usize {
            let cap = learned.page_cap().min(self.limit_ceiling);
            let larger = self.limit.saturating_mul(2).min(LARGEST_PAGE).min(cap);
            self.limit = larger.max(self.limit);
        }
    }

    fn accept_growing(&mut self, len: usize, previous_len: usize, learned: &mut ListCapabilities) {
        if len >= self.limit as usize {
            self.grow_limit(len, learned);
            return;
        }
        // A smaller limit was filled and gave as many: the remote returns no more than that.
        let growth = self.options.growth as usize;
        let capped = len == previous_len && previous_len * growth >= self.limit as usize;
        self.end = Some(if capped {
            WalkEnd::Incomplete
        } else {
            WalkEnd::Complete
        });
    }

    /// Requests the list with a larger limit, if one is left that was not refused.
    fn grow_limit(&mut self, len: usize, learned: &ListCapabilities) {
        let refused = learned.limit_refused_at.unwrap_or(u32::MAX);
        let ceiling = self.limit_ceiling.min(refused.saturating_sub(1));
        let mut larger = self.limit.saturating_mul(self.options.growth);
        while larger > ceiling {
            larger /= 2;
        }
        if self.limit >= self.options.largest_limit || larger <= self.limit {
            self.end = Some(WalkEnd::Incomplete);
            return;
        }
        self.mode = Mode::GrowingLimit { previous_len: len };
        self.limit = larger;
    }

    fn accept_offset(
        &mut self,
        page: &PageSummary,
        progress: &Progress,
        learned: &mut ListCapabilities,
    ) {
        // A page that goes back to look for a gap may repeat most of the one before.
        if self.offset > 0 && !self.stepped_back && self.repeats_a_page(page) {
            learned.offset = Support::Ignored;
            learned.limit_capped_at = None;
            if self.first_len < u64::from(self.limit) {
                // The first limit was not filled, so a larger one brings no more.
                self.end = Some(WalkEnd::Complete);
            } else {
                self.grow_limit(self.first_page.len(), learned);
            }
            return;
        }
        if self.pages > 1 {
            learned.offset = Support::Honoured;
        }
        let reached = self.offset + progress.len;
        if page.len == 0 || reached <= self.position || self.reached_total(page, reached) {
            self.end = Some(WalkEnd::Complete);
            return;
        }
        self.learn_cap(progress, learned);
        self.position = reached;
        if self.is_last_page(progress, learned) {
            self.end = Some(WalkEnd::Complete);
            return;
        }
        let same_length = progress.short && self.short_len == Some(progress.len);
        self.short_pages = if same_length { self.short_pages + 1 } else { 1 };
        self.short_len = progress.short.then_some(progress.len);
        self.enlarge_page(page.len, learned);
        self.overlap = OVERLAP.min(self.position / 2).min(progress.len / 2);
        self.offset = self.position - self.overlap;
    }

    /// Returns whether the page repeats the first or the previous one, so that `offset` is ignored.
    fn repeats_a_page(&self, page: &PageSummary) -> bool {
        // Objects that were added meanwhile push some objects of a page behind the offset. They
        // do not push nearly a whole page there.
        let ids: HashSet<&String> = page.ids.iter().collect();
        let repeats = |before: &HashSet<String>| {
            let again = ids.iter().filter(|id| before.contains(**id)).count() as u64;
            again > self.overlap
                && again * 2 > ids.len() as u64
                && again * 10 >= before.len() as u64 * 9
        };
        repeats(&self.first_page) || repeats(&self.previous_page)
    }

    /// Steps back if there is a gap between this page and the ones before: objects that were
    /// removed from the front of the list let others move in front of the offset.
    fn steps_back(&mut self, page: &PageSummary, progress: &Progress) -> bool {
        let gap = self.overlap > 0 && (page.len == 0 || progress.all_new);
        self.stepped_back = self.steps_back > 0;
        if !gap {
            self.steps_back = 0;
            return false;
        }
        if self.steps_back >= MAX_STEPS_BACK || self.total_steps_back >= MAX_TOTAL_STEPS_BACK {
            return false;
        }
        let step = self.previous_len.saturating_sub(self.overlap) / 2;
        let step = step.max(1) << self.steps_back;
        self.steps_back += 1;
        self.total_steps_back += 1;
        self.offset = self.offset.saturating_sub(step);
        self.position = self.offset + self.overlap;
        true
    }

    fn reached_total(&self, page: &PageSummary, reached: u64) -> bool {
        self.options.trusts_total && page.total.is_some_and(|total| total <= reached)
    }

    /// Learns from the page after a short one that the remote caps pages without saying so.
    fn learn_cap(&self, progress: &Progress, learned: &mut ListCapabilities) {
        let Some(len) = self.short_len.filter(|_| progress.new_objects > 0) else {
            return;
        };
        // A page shorter than what was filled before was the last one, and then the list grew.
        if self.pages == 2 || len >= u64::from(self.filled_limit) {
            learned.limit_capped_at = u32::try_from(len).ok();
        }
    }

    /// Returns whether a short page can be nothing but the last one.
    fn is_last_page(&self, progress: &Progress, learned: &ListCapabilities) -> bool {
        if !progress.short || learned.offset != Support::Honoured {
            return false;
        }
        if learned.limit_capped_at.is_some() {
            let proven = self.short_pages >= PROVEN_CAP_PAGES;
            return proven && self.short_len.is_some_and(|cap| progress.len < cap);
        }
        // That a large page was filled some other day is no proof: remotes change.
        let filled = if self.limit > FIRST_LIMIT {
            self.filled_limit
        } else {
            learned.limit_filled
        };
        filled >= self.limit
    }
}
