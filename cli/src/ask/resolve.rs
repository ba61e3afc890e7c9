//! Resolves an id, prefix or name to one object, by the same rule as the mirror.

use docks_proto::error::Candidate;
use docks_proto::query::Row;

/// What an id, prefix or name matches.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Resolved {
    /// Exactly one object: its full id.
    One(String),
    /// Several, at most [`MOST_CANDIDATES`] of them.
    Several(Vec<Candidate>),
    /// No object.
    NoMatch,
}

/// A longer list would not help anybody to choose.
const MOST_CANDIDATES: usize = 20;

/// Matches the full id, else the exact name, else the prefix of an id; name and prefix must be
/// unique.
pub(super) fn resolve(rows: &[Row], given: &str) -> Resolved {
    if given.is_empty() {
        return Resolved::NoMatch;
    }
    if rows.iter().any(|row| row.id == given) {
        return Resolved::One(given.to_owned());
    }
    let mut matching: Vec<&Row> = rows.iter().filter(|row| row.name == given).collect();
    if matching.is_empty() {
        matching = rows
            .iter()
            .filter(|row| row.id.starts_with(given))
            .collect();
    }
    matching.retain(|row| !row.id.is_empty());
    match matching[..] {
        [] => Resolved::NoMatch,
        [row] => Resolved::One(row.id.clone()),
        _ => Resolved::Several(
            matching
                .into_iter()
                .take(MOST_CANDIDATES)
                .map(candidate)
                .collect(),
        ),
    }
}

fn candidate(row: &Row) -> Candidate {
    let some = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    Candidate {
        id: row.id.clone(),
        name: some(&row.name),
        status: some(&row.status),
        location: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_win_over_names_and_names_over_prefixes() {
        let row = |id: &str, name: &str| Row {
            id: id.into(),
            name: name.into(),
            ..Row::default()
        };
        let rows = [
            row("abc1", "nightly"),
            row("abc2", "nightly"),
            row("weekly", "x"),
            row("weekly2", "weekly3"),
            row("def4", "abc"),
            row("", ""),
        ];
        let one = |id: &str| Resolved::One(id.to_owned());
        assert_eq!(resolve(&rows, "abc1"), one("abc1"));
        assert_eq!(resolve(&rows, "weekly"), one("weekly"));
        assert_eq!(resolve(&rows, "weekly3"), one("weekly2"));
        assert_eq!(resolve(&rows, "abc"), one("def4"));
        assert_eq!(resolve(&rows, "def"), one("def4"));
        assert_eq!(resolve(&rows, "zzz"), Resolved::NoMatch);
        assert_eq!(resolve(&rows, ""), Resolved::NoMatch);
        assert!(matches!(resolve(&rows, "nightly"), Resolved::Several(c) if c.len() == 2));
        assert!(
            matches!(resolve(&rows, "week"), Resolved::Several(c) if c[0].name.as_deref() == Some("x"))
        );
    }
}
