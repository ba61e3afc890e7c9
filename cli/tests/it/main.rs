//! The real programs in a sealed environment, against remotes on loopback.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod abandoned_queries;
mod account;
mod artifacts;
mod bounded_answers;
mod comparisons;
mod daemon;
mod daemon_environment;
mod daemon_trouble;
mod disk;
mod every_file;
mod exit_codes;
mod failures;
mod foreign_home;
mod forget;
mod full_mirror;
mod gone_runs;
mod hanging_disk;
mod harbor_archives;
mod harbor_live;
mod harbor_server;
mod harbor_server_access;
mod hostile;
mod hub;
mod hub_cert;
mod hub_shares;
mod hub_tokens;
mod incomplete;
mod large;
mod late_files;
mod live_files;
mod main_path;
mod many_starts;
mod mirrored_reads;
mod odd_fields;
mod odd_values;
mod oracle;
mod other_build;
mod own_stop;
mod pager;
mod process;
mod provisional_ids;
mod reading;
mod remote;
mod reopened;
mod rerun;
mod run_limits;
mod runs_daemon;
mod runs_direct;
mod sample_remote;
mod score;
mod sealed;
mod secrets;
mod several_dirs;
mod several_remotes;
mod several_servers;
mod start;
mod status_rows;
mod stopping;
mod strangers;
mod tasks;
mod terminal;
mod test_home;
mod thin;
mod watch;
mod watch_notify;
mod watch_terminal;
mod watch_trouble;
mod wedged;
mod who_asks;
mod whose_artifacts;
