//! The event stream of a remote, read from the history once for all subscribers.
//!
//! [`EventFeed::publish`] reads what a commit added to the history and keeps it in memory,
//! already encoded. A [`Subscription`] reads from there at its own pace and holds only its
//! position: the history itself is its queue, so a slow subscriber loses nothing and delays
//! nobody else. Older changes are read from the mirror, and coalesced when there are many.

mod coalesce;
mod engine_handle;
mod feed;
mod feed_state;
mod progress_cache;
mod recent_changes;
mod snapshot;
mod sse_frame;
mod subscription;
#[cfg(test)]
mod tests;
mod watched_runs;

pub use engine_handle::EngineHandle;
pub use feed::{EventFeed, Wakeup};
pub use subscription::Subscription;
