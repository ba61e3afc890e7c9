//! Times and durations as text for people.

use std::time::Duration;

use docks_proto::time::UnixMs;

/// Formats how long ago `then` was, in one unit; `now` for a time in the future, since clocks differ.
pub(crate) fn format_ago(now: UnixMs, then: UnixMs) -> String {
    match format_age(now.since(then)) {
        Some(age) => format!("{age} ago"),
        None => "now".to_owned(),
    }
}

/// Formats a duration in its largest whole unit; `None` below one second.
pub(crate) fn format_age(duration: Duration) -> Option<String> {
    let seconds = duration.as_secs();
    match seconds {
        0 => None,
        1..=59 => Some(format!("{seconds}s")),
        60..=3_599 => Some(format!("{}m", seconds / 60)),
        3_600..=86_399 => Some(format!("{}h", seconds / 3_600)),
        _ => Some(format!("{}d", seconds / 86_400)),
    }
}

/// Formats seconds of wall time: `4.2s`, `45s`, `12m34s`, `1h02m`; `-` for what is not a duration.
pub(crate) fn format_seconds(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "-".to_owned();
    }
    if seconds < 10.0 {
        return format!("{seconds:.1}s");
    }
    // The cast saturates, so an absurdly large number stays a number.
    let whole = seconds.round() as u64;
    match whole {
        0..=59 => format!("{whole}s"),
        60..=3_599 => format!("{}m{:02}s", whole / 60, whole % 60),
        _ => format!("{}h{:02}m", whole / 3_600, whole % 3_600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_formatted_in_one_unit() {
        let now = UnixMs(10_000_000_000);
        let at = |seconds: i64| format_ago(now, UnixMs(now.0 - seconds * 1_000));
        assert_eq!(at(0), "now");
        assert_eq!(at(-10), "now");
        assert_eq!(at(59), "59s ago");
        assert_eq!(at(60), "1m ago");
        assert_eq!(at(3_599), "59m ago");
        assert_eq!(at(3_600), "1h ago");
        assert_eq!(at(86_400), "1d ago");
    }

    #[test]
    fn wall_times_are_formatted_in_at_most_two_units() {
        let table = [
            (4.21, "4.2s"),
            (45.4, "45s"),
            (754.0, "12m34s"),
            (3_720.0, "1h02m"),
            (-1.0, "-"),
            (f64::NAN, "-"),
        ];
        for (seconds, text) in table {
            assert_eq!(format_seconds(seconds), text);
        }
        assert!(format_seconds(f64::MAX).ends_with('m'));
    }
}
