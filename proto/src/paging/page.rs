//! The page that is requested, and what paging needs to know of the answer.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::object::{RawObject, RunFields};
use crate::time::UnixMs;

/// Which part of a list is requested.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PageRequest {
    /// Maximum number of objects; `None` leaves the parameter out.
    pub limit: Option<u32>,
    /// Number of objects to skip; sent only when not 0.
    pub offset: u64,
    /// Cursor that an earlier page returned; replaces `offset`.
    pub cursor: Option<String>,
}

impl PageRequest {
    /// Returns the query string with its `?`, or an empty string without parameters.
    #[must_use]
    pub fn query_string(&self) -> String {
        let mut pairs = Vec::new();
        if let Some(limit) = self.limit {
            pairs.push(format!("limit={limit}"));
        }
        if let Some(cursor) = &self.cursor {
            pairs.push(format!(
                "cursor={}",
                utf8_percent_encode(cursor, NON_ALPHANUMERIC)
            ));
        } else if self.offset > 0 {
            pairs.push(format!("offset={}", self.offset));
        }
        if pairs.is_empty() {
            return String::new();
        }
        format!("?{}", pairs.join("&"))
    }
}

/// What paging needs to know of a page, without its objects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageSummary {
    /// Ids in the remote's order.
    pub ids: Vec<String>,
    /// When each object of `ids` was created, where known.
    pub created: Vec<Option<UnixMs>>,
    /// Number of objects, including those without an id.
    pub len: usize,
    /// Cursor of the next page.
    pub next_cursor: Option<String>,
    /// Length of the whole list, when the remote reports it.
    pub total: Option<u64>,
}

impl PageSummary {
    /// Summarises a page; objects without an id are counted but not listed.
    #[must_use]
    pub fn from_objects(objects: &[RawObject], next_cursor: Option<String>) -> Self {
        let mut summary = Self {
            len: objects.len(),
            next_cursor,
            ..Self::default()
        };
        for object in objects {
            let fields = RunFields::from_object(object);
            if let Some(id) = fields.id.text() {
                summary.ids.push(id);
                let created = fields.created_at.text();
                summary
                    .created
                    .push(created.as_deref().and_then(UnixMs::parse));
            }
        }
        summary
    }
}
