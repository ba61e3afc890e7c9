//! The history of status changes.

pub(crate) mod events;
