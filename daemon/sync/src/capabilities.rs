//! What was learned of a remote by asking it: paging, limits, order, validators.
//!
//! Kept in the mirror as JSON, so that a restart need not learn it again. Every
//! sweep learns anew, since a server can change while we look.

use docks_proto::object::{RawObject, RunFields};
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;
use serde::{Deserialize, Serialize};

/// Key of the note in the mirror.
pub const NOTE: &str = "capabilities";

/// Whether something works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Known {
    /// Not tried, or the try showed nothing.
    #[default]
    Unknown,
    /// It does.
    Honoured,
    /// It is ignored.
    Ignored,
}

/// In which order a list comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Too few objects, or they carry no time.
    #[default]
    Unknown,
    /// Newest first, as most lists.
    NewestFirst,
    /// Oldest first: news is at the end.
    OldestFirst,
    /// Neither.
    Unordered,
}

/// What is known of one list.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ListFacts {
    /// Whether `offset` is honoured.
    pub offset: Known,
    /// Objects at most, whatever `limit` says.
    pub limit_capped_at: Option<u32>,
    /// Smallest `limit` that was refused.
    pub limit_refused_at: Option<u32>,
    /// Largest `limit` that was filled, so that a shorter answer is the end.
    pub limit_filled: u32,
    /// Whether pages name their continuation.
    pub cursor: bool,
    /// Whether not all of it can be listed at all.
    pub cut: bool,
    /// Order.
    pub order: Order,
    /// Whether `If-None-Match` is honoured.
    pub etag: Known,
}

/// A refusal of fewer objects is about something else.
const SMALLEST_REFUSABLE: u32 = 10;
/// Largest page that is asked for: beyond it an answer is too large to poll.
pub const LARGEST_PAGE: u32 = 1_000;

impl ListFacts {
    /// Returns the most objects that one answer can be expected to hold.
    #[must_use]
    pub fn page_cap(&self) -> u32 {
        let refused = self.limit_refused_at.map_or(LARGEST_PAGE, |n| n / 2);
        let capped = self.limit_capped_at.unwrap_or(LARGEST_PAGE);
        LARGEST_PAGE.min(refused).min(capped).max(1)
    }

    /// Notes that `limit` was refused; `false` when that cannot have been the reason.
    pub fn refused(&mut self, limit: u32) -> bool {
        if limit < SMALLEST_REFUSABLE {
            self.limit_refused_at = None;
            return false;
        }
        self.limit_refused_at = Some(self.limit_refused_at.map_or(limit, |n| n.min(limit)));
        self.limit_filled = self.limit_filled.min(limit.saturating_sub(1));
        true
    }

    /// Notes the order of a page.
    pub fn observe_order(&mut self, created: &[Option<UnixMs>]) {
        let times: Vec<UnixMs> = created.iter().copied().flatten().collect();
        let (mut down, mut up) = (0_usize, 0_usize);
        for pair in times.windows(2) {
            match pair[0].cmp(&pair[1]) {
                std::cmp::Ordering::Greater => down += 1,
                std::cmp::Ordering::Less => up += 1,
                std::cmp::Ordering::Equal => {}
            }
        }
        if down + up < 3 {
            return;
        }
        // A few out of line are clocks of several workers, not another order.
        self.order = if down >= 9 * up {
            Order::NewestFirst
        } else if up >= 9 * down {
            Order::OldestFirst
        } else {
            Order::Unordered
        };
    }
}

/// What is known of a remote.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Capabilities {
    /// Of `/runs`.
    pub run: ListFacts,
    /// Of `/harbor/runs`.
    pub evaluation: ListFacts,
}

impl Capabilities {
    /// Returns what is known of one list.
    #[must_use]
    pub fn list(&self, kind: RunKind) -> &ListFacts {
        match kind {
            RunKind::Run => &self.run,
            RunKind::Evaluation => &self.evaluation,
        }
    }

    /// Returns the same, to change it.
    pub fn list_mut(&mut self, kind: RunKind) -> &mut ListFacts {
        match kind {
            RunKind::Run => &mut self.run,
            RunKind::Evaluation => &mut self.evaluation,
        }
    }

    /// Reads a note; one that cannot be read is nothing known.
    #[must_use]
    pub fn from_note(note: Option<&str>) -> Self {
        note.and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default()
    }

    /// Writes the note.
    #[must_use]
    pub fn note(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// What paging needs to know of a page, without its objects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageFacts {
    /// Ids in the remote's order; objects without one are left out.
    pub ids: Vec<String>,
    /// When each was made, beside `ids`.
    pub created: Vec<Option<UnixMs>>,
    /// Objects, those without an id too.
    pub len: usize,
    /// Continuation.
    pub next_cursor: Option<String>,
}

impl PageFacts {
    /// Reads the facts of a page.
    #[must_use]
    pub fn of(objects: &[RawObject], next_cursor: Option<String>) -> Self {
        let mut facts = Self {
            len: objects.len(),
            next_cursor,
            ..Self::default()
        };
        for object in objects {
            let fields = RunFields::from_object(object);
            if let Some(id) = fields.id.text() {
                facts.ids.push(id);
                let created = fields.created_at.text();
                facts
                    .created
                    .push(created.as_deref().and_then(UnixMs::parse));
            }
        }
        facts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_read_from_times_and_few_times_say_nothing() {
        let order = |times: &[i64]| {
            let mut facts = ListFacts::default();
            facts.observe_order(&times.iter().map(|t| Some(UnixMs(*t))).collect::<Vec<_>>());
            facts.order
        };
        assert_eq!(order(&[5, 4, 3, 2]), Order::NewestFirst);
        assert_eq!(order(&[1, 2, 2, 3, 4]), Order::OldestFirst);
        assert_eq!(order(&[1, 5, 2, 4, 3]), Order::Unordered);
        assert_eq!(order(&[2, 1]), Order::Unknown);
    }

    #[test]
    fn a_note_from_another_version_is_survived() {
        let mut known = Capabilities::default();
        known.run.refused(200);
        assert_eq!(Capabilities::from_note(Some(&known.note())), known);
        assert_eq!(
            Capabilities::from_note(Some("{\"run\":{\"order\":\"sideways\"}}")),
            Capabilities::default()
        );
        assert_eq!(known.run.page_cap(), 100);
    }
}
