//! Sort keys and orders of lists.

use super::{ListKind, QueryError};

/// What a list can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SortKey {
    /// When it was created, newest first; the default for runs.
    Created,
    /// The order in which the remote lists them; the default for the trials of a run.
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
    /// Trials only: when it started, latest first.
    Started,
    /// Trials only: when it ended, latest first.
    Completed,
    /// Trials only: reward, highest first.
    Reward,
    /// Trials only: number of tests that passed, most first.
    Tests,
    /// Trials only: wall time, longest first.
    Duration,
    /// Trials only: cost, highest first.
    Cost,
    /// Trials only: number of tokens, most first.
    Tokens,
    /// Trials only: number of artifact types, most first.
    Artifacts,
    /// Trials only: error message.
    Message,
    /// Trials only: dataset.
    Dataset,
    /// Trials only: phase of a running trial.
    Phase,
}

const TRIAL_KEYS: [(&str, SortKey); 20] = [
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
    /// Lists the keys of a list, with their names in options and query strings.
    #[must_use]
    pub fn supported_by(list: ListKind) -> &'static [(&'static str, SortKey)] {
        match list {
            ListKind::Runs => &[
                ("created", SortKey::Created),
                ("id", SortKey::Id),
                ("name", SortKey::Name),
                ("status", SortKey::Status),
            ],
            ListKind::Trials => &TRIAL_KEYS,
            // A remote lists the trials of one run only, so there is no listed order over all runs.
            ListKind::AllTrials => &TRIAL_KEYS[1..],
        }
    }

    /// Whether sorting needs the whole object, since the value is not in a [`Row`](super::Row); see
    /// [`full_object_text`](super::full_object_text).
    #[must_use]
    pub fn needs_full_object(self) -> bool {
        matches!(self, SortKey::Message | SortKey::Dataset | SortKey::Phase)
    }

    /// Whether the key sorts from high to low unless reversed.
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

/// A sort order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sort {
    /// The key.
    pub key: SortKey,
    /// Whether it is the reverse of the key's own order (`-created` is oldest first).
    pub reversed: bool,
}

impl Sort {
    /// Returns the default order of a list.
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

    /// Whether rows are sorted from high to low.
    #[must_use]
    pub fn is_descending(self) -> bool {
        self.key.is_descending_by_default() != self.reversed
    }

    /// Parses a key; a leading `-` reverses it.
    ///
    /// # Errors
    ///
    /// [`QueryError::Sort`] for an unknown key.
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
