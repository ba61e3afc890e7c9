//! Watching runs: receiving events ([`subscription`], [`event_subscriber`]), the state built from them ([`model`]),
//! and showing it ([`view`], [`change_line`]).
//!
//! The model decides whether an event is a change, whether it came from the daemon, from the next
//! daemon or from the remote itself. So no change is printed twice.

pub(crate) mod change_line;
pub(crate) mod end_hook;
pub(crate) mod event_subscriber;
pub(crate) mod model;
mod poll;
mod styled_line;
pub(crate) mod subscription;
pub(crate) mod view;

#[cfg(test)]
mod tests;
