//! Measures how long something takes, and formats the figures.

use std::time::{Duration, Instant};

/// Calls `once` for warming up, then `rounds` times, and returns the median duration.
pub fn median<T>(rounds: usize, mut once: impl FnMut() -> T) -> Duration {
    drop(once());
    let mut times: Vec<Duration> = (0..rounds)
        .map(|_| {
            let start = Instant::now();
            let result = once();
            let elapsed = start.elapsed();
            drop(result);
            elapsed
        })
        .collect();
    times.sort();
    times[rounds / 2]
}

/// Formats a duration in a suitable unit: `340 µs`, `12.5 ms`, `1.25 s`.
pub fn format_duration(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 1e-3 {
        format!("{:.0} µs", seconds * 1e6)
    } else if seconds < 1.0 {
        format!("{:.1} ms", seconds * 1e3)
    } else {
        format!("{seconds:.2} s")
    }
}

/// Formats a number with thousands separators: `1,000,000`.
pub fn format_count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
