//! Timing of one thing many times, and how a figure is written.

use std::time::{Duration, Instant};

/// Does a thing once unmeasured, then `rounds` times, and returns the middle time.
pub fn median<T>(rounds: usize, mut once: impl FnMut() -> T) -> Duration {
    drop(once());
    let mut times: Vec<Duration> = (0..rounds)
        .map(|_| {
            let began = Instant::now();
            let result = once();
            let took = began.elapsed();
            drop(result);
            took
        })
        .collect();
    times.sort();
    times[rounds / 2]
}

/// Writes a time in the unit that suits it.
pub fn time(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 1e-3 {
        format!("{:.0} µs", seconds * 1e6)
    } else if seconds < 1.0 {
        format!("{:.1} ms", seconds * 1e3)
    } else {
        format!("{seconds:.2} s")
    }
}

/// Writes a number as people read it: `1,000,000`.
pub fn grouped(number: u64) -> String {
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
