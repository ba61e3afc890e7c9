//! What was learned about a remote by using it, stored in the mirror as JSON.
//!
//! A restart need not learn it again. Every sweep learns it anew, since a remote can change at
//! any time.

use docks_proto::paging::ListCapabilities;
use docks_proto::routes::RunKind;
use serde::{Deserialize, Serialize};

/// Key of the note in the mirror.
pub const NOTE: &str = "capabilities";

/// What is known about a remote.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Capabilities {
    /// Of `/runs`.
    pub run: ListCapabilities,
    /// Of `/harbor/runs`.
    pub evaluation: ListCapabilities,
}

impl Capabilities {
    /// Returns what is known about one list.
    #[must_use]
    pub fn list(&self, kind: RunKind) -> &ListCapabilities {
        match kind {
            RunKind::Run => &self.run,
            RunKind::Evaluation => &self.evaluation,
        }
    }

    /// Returns what is known about one list, to change it.
    pub fn list_mut(&mut self, kind: RunKind) -> &mut ListCapabilities {
        match kind {
            RunKind::Run => &mut self.run,
            RunKind::Evaluation => &mut self.evaluation,
        }
    }

    /// Reads a stored note; an unreadable one counts as nothing known.
    #[must_use]
    pub fn from_note(note: Option<&str>) -> Self {
        note.and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default()
    }

    /// Returns the note to store.
    #[must_use]
    pub fn to_note(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_back_and_one_of_another_version_is_ignored() {
        let mut known = Capabilities::default();
        known.run.record_refusal(200);
        known.evaluation.incomplete = true;
        assert_eq!(Capabilities::from_note(Some(&known.to_note())), known);
        assert_eq!(
            Capabilities::from_note(Some("{\"run\":{\"order\":\"sideways\"}}")),
            Capabilities::default()
        );
        assert_eq!(known.run.page_cap(), 100);
    }

    #[test]
    fn notes_of_earlier_releases_are_understood() {
        let stored = r#"{"run":{"offset":"honoured","limit_capped_at":40,"limit_refused_at":null,"limit_filled":100,"cursor":false,"cut":true,"order":"newest_first","etag":"ignored"},"evaluation":{"offset":"unknown","limit_capped_at":null,"limit_refused_at":null,"limit_filled":0,"cursor":false,"cut":false,"order":"unknown","etag":"unknown"}}"#;
        let known = Capabilities::from_note(Some(stored));
        assert_eq!(
            (known.run.limit_capped_at, known.run.incomplete),
            (Some(40), true)
        );
        assert_eq!(known.to_note(), stored);
    }
}
