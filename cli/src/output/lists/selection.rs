//! Which columns of a list `--columns` selects.

use crate::failure::Failure;

/// A column that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SelectedColumn {
    /// Its name.
    pub(super) key: &'static str,
    /// Whether it was asked for by name, so that it is never hidden.
    pub(super) requested: bool,
}

/// Selects columns by what `--columns` says: names alone replace the default ones, `+NAME` adds a column after the
/// others, and `-NAME` leaves one out.
///
/// # Errors
///
/// A usage error: a name that is not `known`, with the list of those that are, or no column left.
pub(super) fn select(
    requested: &[String],
    known: &[&'static str],
    default: &[&'static str],
) -> Result<Vec<SelectedColumn>, Failure> {
    let mut changes = Vec::new();
    for text in requested {
        let (change, name) = Change::parse(text);
        let key = column_key(name);
        let found = known.iter().find(|known| **known == key);
        let found = found.ok_or_else(|| {
            Failure::usage(format!("unknown column `{name}`")).hint(format!(
                "known columns: {}; +NAME adds one to the usual ones, -NAME leaves one out",
                known.join(", ")
            ))
        })?;
        changes.push((change, *found));
    }
    let mut selected: Vec<SelectedColumn> = Vec::new();
    if !replaces_columns(requested) {
        let usual = |key: &&'static str| SelectedColumn {
            key,
            requested: false,
        };
        selected = default.iter().map(usual).collect();
    }
    for (change, key) in changes {
        let requested = SelectedColumn {
            key,
            requested: true,
        };
        match (change, selected.iter_mut().find(|shown| shown.key == key)) {
            (Change::Remove, _) => selected.retain(|shown| shown.key != key),
            // It stays where it is, also in a narrow terminal.
            (Change::Add, Some(shown)) => *shown = requested,
            (Change::Add, None) | (Change::Name, _) => selected.push(requested),
        }
    }
    if selected.is_empty() {
        return Err(Failure::usage("`--columns` leaves no column".to_owned())
            .hint(format!("known columns: {}", known.join(", "))));
    }
    Ok(selected)
}

/// Whether `--columns` replaces the default columns, and does not only add some or leave some out.
pub(crate) fn replaces_columns(requested: &[String]) -> bool {
    let mut changes = requested.iter().map(|text| Change::parse(text).0);
    changes.any(|change| change == Change::Name)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Name,
    Add,
    Remove,
}

impl Change {
    /// Returns what a text of `--columns` asks for, and the name in it.
    fn parse(text: &str) -> (Self, &str) {
        let text = text.trim();
        match (text.strip_prefix('+'), text.strip_prefix('-')) {
            (Some(name), _) => (Self::Add, name),
            (None, Some(name)) => (Self::Remove, name),
            (None, None) => (Self::Name, text),
        }
    }
}

/// Returns the key of a column from its name.
fn column_key(name: &str) -> String {
    name.trim().to_ascii_lowercase().replace(['_', ' '], "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(requested: &[&str]) -> Result<Vec<String>, Failure> {
        let requested: Vec<String> = requested.iter().map(|name| (*name).to_owned()).collect();
        let selected = select(
            &requested,
            &["id", "name", "pass-rate", "cost"],
            &["id", "name"],
        )?;
        let show = |column: SelectedColumn| match column.requested {
            true => format!("{}!", column.key),
            false => column.key.to_owned(),
        };
        Ok(selected.into_iter().map(show).collect())
    }

    #[test]
    fn names_replace_the_usual_columns_and_signs_change_them() {
        for (requested, expected) in [
            (&[][..], &["id", "name"][..]),
            (&["Pass_Rate", "id"], &["pass-rate!", "id!"]),
            (&["+cost"], &["id", "name", "cost!"]),
            (&["-id", " +Pass Rate"], &["name", "pass-rate!"]),
            (&["+name"], &["id", "name!"]),
            (&["-cost"], &["id", "name"]),
            (&["+cost", "id"], &["cost!", "id!"]),
            (&["id", "cost", "-id"], &["cost!"]),
            (&["id", "id"], &["id!", "id!"]),
        ] {
            assert_eq!(keys(requested).unwrap(), expected, "{requested:?}");
        }
    }

    #[test]
    fn a_name_that_is_unknown_lists_those_that_are_and_one_column_has_to_stay() {
        for requested in ["colour", "+colour", "-colour"] {
            let failure = keys(&[requested]).unwrap_err();
            assert_eq!(failure.kind.exit_code(), 2);
            assert_eq!(failure.message, "unknown column `colour`");
            assert!(failure.hints[0].contains("id, name, pass-rate, cost"));
        }
        assert_eq!(keys(&["-id", "-name"]).unwrap_err().kind.exit_code(), 2);
    }
}
