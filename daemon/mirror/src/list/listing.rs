//! Rows of a list as one JSON array.

use bytes::Bytes;
use rusqlite::Connection;

use crate::digest::sound_text;
use crate::resource::Confirmation;

/// Bytes to reserve per row; most objects have about this size.
const TYPICAL_ROW_BYTES: usize = 512;

/// Rows of a list, ready to send.
#[derive(Debug, Clone)]
pub struct Listing {
    /// A JSON array of the stored texts.
    pub body: Bytes,
    /// Number of rows in the array.
    pub returned: u64,
    /// Number of rows that match, on this page or not.
    pub total: u64,
    /// When the list was last confirmed; `None` when it never was.
    pub confirmation: Option<Confirmation>,
}

/// A JSON array under construction from stored texts.
pub(super) struct JsonArray {
    body: Vec<u8>,
    rows: u64,
}

impl JsonArray {
    pub(super) fn new() -> Self {
        let mut body = Vec::with_capacity(20 * TYPICAL_ROW_BYTES);
        body.push(b'[');
        Self { body, rows: 0 }
    }

    /// Reads the texts of these rows of a table, in their order.
    pub(super) fn from_rows(
        connection: &Connection,
        table: &str,
        rows: &[i64],
    ) -> rusqlite::Result<Self> {
        let mut statement = connection
            .prepare_cached(&format!("SELECT body, digest FROM {table} WHERE seq = ?1"))?;
        let mut array = Self::new();
        for row in rows {
            statement.query_row([row], |row| {
                array.push(sound_text(row, 0)?);
                Ok(())
            })?;
        }
        Ok(array)
    }

    pub(super) fn push(&mut self, text: &str) {
        if self.rows > 0 {
            self.body.push(b',');
        }
        self.body.extend_from_slice(text.as_bytes());
        self.rows += 1;
    }

    pub(super) fn into_listing(mut self, total: u64) -> Listing {
        self.body.push(b']');
        Listing {
            body: self.body.into(),
            returned: self.rows,
            total,
            confirmation: None,
        }
    }
}
