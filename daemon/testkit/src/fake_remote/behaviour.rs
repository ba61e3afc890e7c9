//! How the fake remote behaves wherever real ones differ.

use std::time::Duration;

/// What a list is wrapped in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListEnvelope {
    /// A bare array.
    Array,
    /// `{"items": […]}`.
    Items,
    /// `{"data": […]}`.
    Data,
}

/// The order of lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListOrder {
    /// Newest first.
    Newest,
    /// Oldest first.
    Oldest,
    /// An arbitrary order that is always the same.
    Shuffled,
}

/// The settings; [`Behaviour::default`] is an ideal remote.
#[derive(Debug, Clone)]
pub struct Behaviour {
    /// Whether `offset` is honoured rather than ignored.
    pub offset: bool,
    /// Largest number of objects on a page.
    pub cap: Option<usize>,
    /// Whether a limit above the cap is refused with 422 rather than reduced silently.
    pub refuses_above_cap: bool,
    /// Page size when `limit` is absent.
    pub default_limit: usize,
    /// What lists are wrapped in.
    pub envelope: ListEnvelope,
    /// Whether pages carry a cursor to the next one; bare arrays are wrapped in `items` then.
    pub cursor: bool,
    /// Whether wrapped lists carry their total.
    pub total: bool,
    /// The order of lists.
    pub order: ListOrder,
    /// Whether answers carry an `ETag` and `If-None-Match` is honoured.
    pub etag: bool,
    /// Whether `status` filters lists.
    pub status: bool,
    /// Whether answers are compressed for clients that accept it.
    pub gzip: bool,
    /// What they call that coding.
    pub gzip_name: &'static str,
    /// The only token that is accepted; `None` accepts every request.
    pub token: Option<String>,
    /// Delay before every answer.
    pub latency: Duration,
    /// How far the remote's clock is ahead, in seconds.
    pub skew_s: i64,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            offset: true,
            cap: None,
            refuses_above_cap: false,
            default_limit: 50,
            envelope: ListEnvelope::Array,
            cursor: false,
            total: false,
            order: ListOrder::Newest,
            etag: true,
            status: true,
            gzip: false,
            gzip_name: "gzip",
            token: None,
            latency: Duration::ZERO,
            skew_s: 0,
        }
    }
}
