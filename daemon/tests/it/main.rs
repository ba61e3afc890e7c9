//! The daemon's parts against each other, over real sockets and real files: one binary, so
//! that it is linked once.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends where a step fails, also inside what tests share"
)]

mod daemon_answers;
mod daemon_hygiene;
mod daemon_process;
mod daemon_schedule;
mod daemon_socket;
mod damaged;
mod events;
mod fuzz;
mod harbor_follow;
mod hub;
mod hub_artifacts;
mod hub_hostile;
mod hub_mirrored;
mod hub_support;
mod hub_tls;
mod identities;
mod killed;
mod list_all;
mod on_end;
mod one_request;
mod pull;
mod pull_retries;
mod remote_docks_api;
mod remote_https;
mod remote_tls;
mod store_helper;
mod test_daemon;
mod upstream_faults;
mod upstream_support;
