//! The daemon's parts against each other, over real sockets and real files: one binary, so
//! that it is linked once.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends where a step fails, also inside what tests share"
)]

#[path = "../../testkit/mod.rs"]
pub mod testkit;

mod daemon_answers;
mod daemon_hygiene;
mod daemon_process;
mod daemon_schedule;
mod daemon_socket;
mod damaged;
mod events;
mod harbor;
mod harbor_changes;
mod harbor_dirs;
mod harbor_figures;
mod harbor_follow;
mod harbor_hostile;
#[path = "../../testkit/harbor_jobs.rs"]
mod harbor_jobs;
mod hub;
mod hub_artifacts;
mod hub_hostile;
mod hub_mirrored;
mod hub_support;
mod hub_tls;
mod killed;
mod mirror_files;
mod mirror_guards;
mod mirror_lists;
mod mirror_migrations;
mod mirror_support;
mod mirror_sync;
mod on_end;
mod one_request;
mod pull;
mod remote_docks_api;
mod remote_https;
mod remote_tls;
mod remote_walk;
mod upstream_faults;
mod upstream_support;
