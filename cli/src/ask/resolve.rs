//! What an id, prefix or name stands for; the same rule as the mirror's.

use docks_proto::error::Candidate;
use docks_proto::query::Row;

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// Exactly one object: its full id.
    One(String),
    /// Several, at most [`MOST_CANDIDATES`] of them.
    Several(Vec<Candidate>),
    /// None.
    Nothing,
}

/// More than these help nobody to choose.
const MOST_CANDIDATES: usize = 20;

/// Finds the full id, else the exact name where it is unique, else the unique beginning of an id.
pub(super) fn resolve(rows: &[Row], given: &str) -> Fit {
    if given.is_empty() {
        return Fit::Nothing;
    }
    if rows.iter().any(|row| row.id == given) {
        return Fit::One(given.to_owned());
    }
    let mut fitting: Vec<&Row> = rows.iter().filter(|row| row.name == given).collect();
    if fitting.is_empty() {
        fitting = rows
            .iter()
            .filter(|row| row.id.starts_with(given))
            .collect();
    }
    fitting.retain(|row| !row.id.is_empty());
    match fitting[..] {
        [] => Fit::Nothing,
        [row] => Fit::One(row.id.clone()),
        _ => Fit::Several(
            fitting
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
    fn ids_win_over_names_and_names_over_beginnings() {
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
        let one = |id: &str| Fit::One(id.to_owned());
        assert_eq!(resolve(&rows, "abc1"), one("abc1"));
        assert_eq!(resolve(&rows, "weekly"), one("weekly"));
        assert_eq!(resolve(&rows, "weekly3"), one("weekly2"));
        assert_eq!(resolve(&rows, "abc"), one("def4"));
        assert_eq!(resolve(&rows, "def"), one("def4"));
        assert_eq!(resolve(&rows, "zzz"), Fit::Nothing);
        assert_eq!(resolve(&rows, ""), Fit::Nothing);
        assert!(matches!(resolve(&rows, "nightly"), Fit::Several(c) if c.len() == 2));
        assert!(
            matches!(resolve(&rows, "week"), Fit::Several(c) if c[0].name.as_deref() == Some("x"))
        );
    }
}
