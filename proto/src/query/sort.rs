//! Orders of lists.

use super::{ListKind, QueryError};

/// What a list can be ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SortKey {
    /// When it was made; runs' default, newest first.
    Created,
    /// The order in which the remote lists them; trials' default.
    Listed,
    /// Id.
    Id,
    /// Name, or template name of a plain run.
    Name,
    /// Status.
    Status,
    /// Trials only: task.
    Task,
    /// Trials only: agent variant.
    Agent,
    /// Trials only: model.
    Model,
    /// Trials only: type of the error.
    Error,
    /// Trials only: when it began, latest first.
    Started,
    /// Trials only: when it ended, latest first.
    Completed,
    /// Trials only: reward, highest first.
    Reward,
    /// Trials only: tests that passed, most first.
    Tests,
    /// Trials only: wall time, longest first.
    Duration,
    /// Trials only: cost, highest first.
    Cost,
    /// Trials only: tokens, most first.
    Tokens,
    /// Trials only: types of artifacts, most first.
    Artifacts,
    /// Trials only: what went wrong, in words.
    Message,
    /// Trials only: dataset.
    Dataset,
    /// Trials only: phase of one that runs.
    Phase,
}

const OF_TRIALS: [(&str, SortKey); 20] = [
    ("listed", SortKey::Listed),
    ("created", SortKey::Created),
    ("id", SortKey::Id),
    ("name", SortKey::Name),
    ("status", SortKey::Status),
    ("task", SortKey::Task),
    ("agent", SortKey::Agent),
    ("model", SortKey::Model),
    ("error", SortKey::Error),
    ("started", SortKey::Started),
    ("completed", SortKey::Completed),
    ("reward", SortKey::Reward),
    ("tests", SortKey::Tests),
    ("duration", SortKey::Duration),
    ("cost", SortKey::Cost),
    ("tokens", SortKey::Tokens),
    ("artifacts", SortKey::Artifacts),
    ("message", SortKey::Message),
    ("dataset", SortKey::Dataset),
    ("phase", SortKey::Phase),
];

impl SortKey {
    /// Every key that fits a list, with its name in options and query strings.
    #[must_use]
    pub fn supported_by(list: ListKind) -> &'static [(&'static str, SortKey)] {
        match list {
            ListKind::Runs => &[
                ("created", SortKey::Created),
                ("id", SortKey::Id),
                ("name", SortKey::Name),
                ("status", SortKey::Status),
            ],
            ListKind::Trials => &OF_TRIALS,
            // Over all runs there is no order in which a remote lists.
            ListKind::AllTrials => &OF_TRIALS[1..],
        }
    }

    /// Tells whether rows are ordered by what only the whole object says: no [`Row`](super::Row)
    /// holds it, see [`full_object_text`](super::full_object_text).
    #[must_use]
    pub fn needs_full_object(self) -> bool {
        matches!(self, SortKey::Message | SortKey::Dataset | SortKey::Phase)
    }

    /// Tells whether the key's natural order is from high to low.
    #[must_use]
    pub fn is_descending_by_default(self) -> bool {
        matches!(
            self,
            SortKey::Created
                | SortKey::Started
                | SortKey::Completed
                | SortKey::Reward
                | SortKey::Tests
                | SortKey::Duration
                | SortKey::Cost
                | SortKey::Tokens
                | SortKey::Artifacts
        )
    }
}

/// An order: a key, turned round or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sort {
    /// By what.
    pub key: SortKey,
    /// Against the key's natural order (`-created` is oldest first).
    pub reversed: bool,
}

impl Sort {
    /// Returns the list's own order.
    #[must_use]
    pub fn default_for(list: ListKind) -> Self {
        let key = match list {
            ListKind::Runs | ListKind::AllTrials => SortKey::Created,
            ListKind::Trials => SortKey::Listed,
        };
        Self {
            key,
            reversed: false,
        }
    }

    /// Tells whether rows go from high to low.
    #[must_use]
    pub fn is_descending(self) -> bool {
        self.key.is_descending_by_default() != self.reversed
    }

    /// Reads a key, turned round by a leading `-`.
    ///
    /// # Errors
    ///
    /// [`QueryError::Sort`] with the known keys.
    pub fn parse(list: ListKind, text: &str) -> Result<Self, QueryError> {
        let (name, reversed) = text
            .strip_prefix('-')
            .map_or((text, false), |rest| (rest, true));
        let found = SortKey::supported_by(list)
            .iter()
            .find(|(known, _)| *known == name);
        found
            .map(|&(_, key)| Self { key, reversed })
            .ok_or_else(|| QueryError::Sort {
                value: text.to_owned(),
                known: SortKey::supported_by(list)
                    .iter()
                    .map(|(n, _)| *n)
                    .collect::<Vec<_>>()
                    .join(", "),
            })
    }

    pub(super) fn name(self, list: ListKind) -> String {
        let name = SortKey::supported_by(list)
            .iter()
            .find(|(_, k)| *k == self.key)
            .map_or("created", |(n, _)| n);
        format!("{}{name}", if self.reversed { "-" } else { "" })
    }
}
