//! Figures of trials as text: short for people, with what they are over, or exact for programs.

use docks_proto::comparison::{Known, RateFigure};

use super::durations::format_seconds;
use super::known;
use super::lists::{format_dollars, short_number};

/// `58.2 % ±4.6 (259/445)`: the rate, half of the width of its interval, and how many of how many.
pub(crate) fn rate(rate: Option<RateFigure>) -> String {
    rate.map_or_else(dash, |rate| {
        let [value, half] = [rate.value, 0.5 * (rate.high - rate.low)].map(|share| 100.0 * share);
        format!(
            "{value:.1} % \u{b1}{half:.1} ({}/{})",
            rate.solved, rate.attempts
        )
    })
}

/// A number of things: `1 file`, `2 files`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// A number with at most three decimals.
pub(crate) fn number(figure: Known) -> String {
    of_known(figure, short_number)
}

/// An amount of money.
pub(crate) fn dollars(figure: Known) -> String {
    of_known(figure, format_dollars)
}

/// A duration.
pub(crate) fn seconds(figure: Known) -> String {
    of_known(figure, format_seconds)
}

/// The mean of a sum of counts, such as tokens per trial: `950`, `12.3k`, `1.2M`.
pub(crate) fn mean_count(sum: Known) -> String {
    let per_known = |total: f64| {
        let mean = total / sum.n as f64;
        match mean {
            ..1e3 => format!("{mean:.0}"),
            ..1e6 => format!("{:.1}k", mean / 1e3),
            _ => format!("{:.1}M", mean / 1e6),
        }
    };
    of_known(sum, per_known)
}

fn of_known(figure: Known, text: impl Fn(f64) -> String) -> String {
    let text = figure.value.map(text);
    text.map_or_else(dash, |text| known::of(text, figure.n, figure.of))
}

/// What is shown instead of a figure that is not known.
pub(crate) fn dash() -> String {
    "-".to_owned()
}

/// A text, or what is shown instead of one that is not known.
pub(crate) fn or_dash(text: &str) -> String {
    match text {
        "" => dash(),
        text => text.to_owned(),
    }
}

/// A figure for programs, with all of its digits; empty if it is not known.
pub(crate) fn exact(figure: Option<f64>) -> String {
    figure.map_or_else(String::new, |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short_and_say_what_they_are_over() {
        let figure = RateFigure {
            value: 0.582,
            low: 0.536,
            high: 0.628,
            solved: 259,
            attempts: 445,
            tasks: 89,
        };
        assert_eq!(rate(Some(figure)), "58.2 % \u{b1}4.6 (259/445)");
        assert_eq!(rate(None), "-");
        let sum = |value, n| Known {
            value: Some(value),
            n,
            of: 4,
        };
        assert_eq!(mean_count(sum(49_200.0, 4)), "12.3k");
        assert_eq!(mean_count(sum(2_400_000.0, 2)), "1.2M (2/4)");
        assert_eq!(mean_count(Known::default()), "-");
        assert_eq!(dollars(sum(1.0, 3)), "$1.000 (3/4)");
    }
}
