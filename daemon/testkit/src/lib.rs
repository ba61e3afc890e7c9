//! Remotes for tests and benchmarks: a scripted Docks API, a TLS proxy before it, Harbor jobs
//! directories, a `harbor serve`, and time measurement.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails at the step of its set-up that fails"
)]

pub mod fake_harbor;
pub mod fake_remote;
pub mod harbor_jobs;
pub mod harbor_scale;
pub mod measure;
mod skip;
pub mod tls_proxy;

pub use skip::{SKIPS_FILE, skip};
