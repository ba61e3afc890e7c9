//! How the mirror learned of a change.

/// How a change was learned; stored in the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provenance {
    /// Seen in the response to a poll.
    Polled,
    /// Reported by the remote when it happened.
    Event,
    /// The response to an action of ours, such as cancelling a run.
    OwnAction,
}

impl Provenance {
    /// All of them.
    pub const ALL: [Provenance; 3] = [Provenance::Polled, Provenance::Event, Provenance::OwnAction];

    /// Returns the word stored in the history.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Provenance::Polled => "polled",
            Provenance::Event => "event",
            Provenance::OwnAction => "own_action",
        }
    }
}
