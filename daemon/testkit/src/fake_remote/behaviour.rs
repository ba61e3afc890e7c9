//! How the fake remote behaves where the real one is not known.

use std::time::Duration;

/// What a list comes wrapped in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrap {
    /// A bare array.
    Array,
    /// `{"items": […]}`.
    Items,
    /// `{"data": […]}`.
    Data,
}

/// In which order lists come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Newest first.
    Newest,
    /// Oldest first.
    Oldest,
    /// In no order, but always the same.
    Shuffled,
}

/// The habits; [`Habits::default`] is the remote one would wish for.
#[derive(Debug, Clone)]
pub struct Habits {
    /// Whether `offset` is honoured; if not, it is ignored.
    pub offset: bool,
    /// Most objects of one page.
    pub cap: Option<usize>,
    /// Whether a limit above the cap is refused with 422 instead of cut silently.
    pub refuses_above_cap: bool,
    /// Page size when `limit` is absent.
    pub default_limit: usize,
    /// What lists are wrapped in.
    pub wrap: Wrap,
    /// Whether pages name the next one by a cursor; wrapped in `items` then.
    pub cursor: bool,
    /// Whether wrapped lists say their total.
    pub total: bool,
    /// In which order lists come.
    pub order: Order,
    /// Whether answers bear an `ETag` and `If-None-Match` is honoured.
    pub etag: bool,
    /// Whether `status` filters lists.
    pub status: bool,
    /// Whether answers are compressed where the client takes that.
    pub gzip: bool,
    /// The only token that is let in; `None` lets all in.
    pub token: Option<String>,
    /// Time before every answer.
    pub latency: Duration,
    /// How far the remote's clock is ahead, in seconds.
    pub skew_s: i64,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            offset: true,
            cap: None,
            refuses_above_cap: false,
            default_limit: 50,
            wrap: Wrap::Array,
            cursor: false,
            total: false,
            order: Order::Newest,
            etag: true,
            status: true,
            gzip: false,
            token: None,
            latency: Duration::ZERO,
            skew_s: 0,
        }
    }
}
