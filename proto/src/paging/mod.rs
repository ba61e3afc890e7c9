//! Reads whole lists from a remote whose paging is undocumented.
//!
//! [`ListWalk`] is a pure state machine: [`request`](ListWalk::request) returns the next page to
//! fetch, [`accept`](ListWalk::accept) takes the page and [`refused`](ListWalk::refused) a refusal
//! of it. What it finds out goes into [`ListCapabilities`], which the daemon stores. The CLI's
//! direct mode ([`list_all_runs`](crate::client::list_all_runs)) and the daemon's sweep drive the
//! same machine; they differ only in their [`WalkOptions`].

mod capabilities;
mod options;
mod page;
mod walk;

#[cfg(test)]
mod tests;

pub use capabilities::{LARGEST_PAGE, ListCapabilities, ListOrder, Support, may_refuse_limit};
pub use options::{FIRST_LIMIT, WalkOptions};
pub use page::{PageRequest, PageSummary};
pub use walk::{ListWalk, WalkEnd};
