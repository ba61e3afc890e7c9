//! The configuration: flags, environment and `daemon.toml`, checked and joined into one [`Config`].
//!
//! Plain data that depends on no other part of the daemon. Besides `main.rs` this is the only place
//! that reads the environment; every other part receives its settings as values.

mod failure_rule;
mod file;
mod flags;
#[cfg(test)]
mod fuzz;
mod hub;
mod hub_flags;
mod idle_exit;
mod job_schedule;
mod load;
mod log_filter;
mod on_end;
mod on_limit;
mod settings;
mod value;

pub use file::{DaemonFile, DaemonFileError};
pub use flags::{Flags, Helper};
pub use hub::{HubConfigError, HubOptions, HubSettings, TlsFiles, TokenFiles};
pub use hub_flags::HubFlags;
pub use idle_exit::{IdleExit, parse_idle_exit};
pub(crate) use job_schedule::parse_cron;
pub use job_schedule::{InvalidJobSchedule, JobSchedule};
pub use load::{ConfigError, desktop_variables, find_foreign_file};
pub use on_end::OnEndRule;
pub use on_limit::{Limit, OnLimitRule};
pub use settings::{ArtifactPrefetch, Config, JobSchedules};
