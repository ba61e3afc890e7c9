//! Tasks over all runs: how hard, how flaky and how dear they are, and how that changed.

mod configuration;
mod history;
mod list;
mod period;
mod state;

#[cfg(test)]
mod tests;

pub use history::history;
pub use list::list;

use docks_proto::comparison::RateFigure;

use crate::attempts::TaskAttempts;
use crate::rate::wilson;

/// Returns the rate of attempts at one task, with Wilson's interval: they are taken as independent, since the next
/// attempts at this task are what it is about, and not other tasks.
fn rate_of_one(attempts: TaskAttempts) -> Option<RateFigure> {
    if attempts.attempts == 0 {
        return None;
    }
    let value = attempts.solved as f64 / attempts.attempts as f64;
    let interval = wilson(value, attempts.attempts as f64);
    Some(RateFigure {
        value,
        low: interval.low,
        high: interval.high,
        solved: attempts.solved,
        attempts: attempts.attempts,
        tasks: 1,
    })
}
