//! Tests of the remote on directories of real Harbor jobs: one binary, so that it is linked once.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails at the step that fails, also in what the tests share"
)]

mod archives;
mod changes;
mod figures;
mod first_reading;
mod fuzz;
mod live_trials;
mod malformed_files;
mod nested;
mod real_jobs;
mod reward_rules;
mod several_directories;
mod support;
