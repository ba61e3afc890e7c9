//! The mirror on real files: one binary, so that it is linked once.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends where a step fails, also inside what tests share"
)]

mod files;
mod guards;
mod lists;
mod migrations;
mod support;
mod sync;
