//! Jobs directories of real Harbor jobs: one binary, so that it is linked once.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends where a step fails, also inside what tests share"
)]

mod changes;
mod dirs;
mod figures;
mod hostile;
mod jobs;
