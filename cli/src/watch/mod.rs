//! Watching: what is heard ([`ear`]), what is known from it ([`model`]), and how that is shown.
//!
//! The model decides whether something happened, whoever told it: the daemon,
//! another daemon after it, or the remote itself. So nothing is said twice.

pub(crate) mod ear;
pub(crate) mod hook;
pub(crate) mod lines;
pub(crate) mod model;
mod poll;
pub(crate) mod view;

#[cfg(test)]
mod tests;
