//! Digests of stored rows: a row whose digest does not fit was damaged on the disk.
//!
//! SQLite checks the structure of its pages, but not the values in them. CRC-32 finds every
//! damage of up to 32 bits in a row, and all but one in four billion of the others.

use rusqlite::{Row, ffi};

/// Builds the digest of several values.
#[derive(Default)]
pub(crate) struct Digest(crc32fast::Hasher);

impl Digest {
    /// Adds a text; an absent one differs from an empty one.
    pub(crate) fn text(mut self, text: Option<&str>) -> Self {
        let Some(text) = text else {
            self.0.update(&[0]);
            return self;
        };
        // The length keeps apart what the next text begins with.
        self.0.update(&[1]);
        self.0.update(&(text.len() as u64).to_le_bytes());
        self.0.update(text.as_bytes());
        self
    }

    /// Adds a number.
    pub(crate) fn number(mut self, number: i64) -> Self {
        self.0.update(&number.to_le_bytes());
        self
    }

    /// Returns the value of the column `digest`.
    pub(crate) fn value(self) -> i64 {
        self.0.finalize().into()
    }
}

/// Returns the digest of an object's text.
pub(crate) fn of_text(text: &[u8]) -> i64 {
    crc32fast::hash(text).into()
}

/// Reads an object's text from a column, and checks it with the digest in the next column.
///
/// # Errors
///
/// `SQLITE_CORRUPT` if they do not fit.
pub(crate) fn sound_text<'row>(row: &'row Row<'_>, column: usize) -> rusqlite::Result<&'row str> {
    let text = row.get_ref(column)?;
    let bytes = text.as_bytes().map_err(|_| damaged("an object"))?;
    if of_text(bytes) != row.get::<_, i64>(column + 1)? {
        return Err(damaged("an object"));
    }
    text.as_str().map_err(|_| damaged("an object"))
}

/// Returns the error that says that `what` is damaged.
pub(crate) fn damaged(what: &str) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(
        ffi::Error::new(ffi::SQLITE_CORRUPT),
        Some(format!("the digest of {what} does not fit")),
    )
}

#[cfg(test)]
mod tests {
    use super::Digest;

    #[test]
    fn what_differs_has_another_digest() {
        let values = [
            Digest::default().text(Some("ab")).text(Some("c")).value(),
            Digest::default().text(Some("a")).text(Some("bc")).value(),
            Digest::default().text(Some("abc")).text(None).value(),
            Digest::default().text(Some("abc")).text(Some("")).value(),
            Digest::default().number(1).number(0).value(),
            Digest::default().number(0).number(1).value(),
        ];
        let distinct: std::collections::BTreeSet<_> = values.into_iter().collect();
        assert_eq!(distinct.len(), values.len());
    }
}
