//! Remotes for tests and benchmarks: a scripted Docks API, a TLS front before it, Harbor
//! jobs directories, and timing.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends where a step of its set-up fails"
)]

pub mod fake_remote;
pub mod harbor_jobs;
pub mod measure;
mod skip;
pub mod tls_proxy;

pub use skip::{SKIPS_FILE, skip};
