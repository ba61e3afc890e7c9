//! Watching: what is heard ([`event_subscriber`]), what is known from it ([`model`]), and how that is shown.
//!
//! The model decides whether something happened, whoever told it: the daemon,
//! another daemon after it, or the remote itself. So nothing is said twice.

pub(crate) mod change_line;
pub(crate) mod end_hook;
pub(crate) mod event_subscriber;
pub(crate) mod model;
mod poll;
pub(crate) mod view;

#[cfg(test)]
mod tests;
