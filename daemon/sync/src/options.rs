//! Settings of the engine.

use std::time::Duration;

/// Settings of the engine.
#[derive(Debug, Clone)]
pub struct Options {
    /// Requests per minute, those of users included.
    pub budget_per_minute: u32,
    /// Time between two polls of a list with active runs. While the other list is idle this
    /// makes 11.7 requests a minute, and a change is seen within 6 s.
    pub active_interval: Duration,
    /// Time between two polls of a list without active runs.
    pub idle_interval: Duration,
    /// Time between two polls of a list without active runs while someone watches it.
    pub watched_interval: Duration,
    /// Age of the last sweep beyond which one is done at start.
    pub sweep_interval: Duration,
    /// Whether trials of ended runs are fetched before anyone requests them.
    pub backfill: bool,
    /// Maximum number of background steps at a time.
    pub concurrency: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            budget_per_minute: 240,
            active_interval: Duration::from_millis(5_600),
            idle_interval: Duration::from_secs(60),
            watched_interval: Duration::from_secs(10),
            sweep_interval: Duration::from_secs(3_600),
            backfill: true,
            concurrency: 4,
        }
    }
}
