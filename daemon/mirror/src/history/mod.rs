//! The history: one row per observed change of a status.

mod bounds;
mod event;
mod event_filter;
mod event_object;
mod event_row;
mod prune;
mod read;
mod record;

pub use bounds::HistoryBounds;
pub(crate) use bounds::read_bounds;
pub use event::{EventWithObject, StatusEvent, Subject};
pub use event_filter::matches_query;
pub(crate) use event_row::{COLUMNS as EVENT_COLUMNS, EventRow, redate, rename_run};
pub(crate) use prune::prune;
pub use read::HistoryPage;
pub(crate) use read::{changes_between, events_after, events_of_run, read_page};
pub(crate) use record::{StatusChange, record};
