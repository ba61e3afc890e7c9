//! Figures of which not every value is known.

/// Adds how many values a figure is over, of how many, unless it is over all of them.
pub(crate) fn of(figure: String, n: u64, of: u64) -> String {
    if n == of {
        figure
    } else {
        format!("{figure} ({n}/{of})")
    }
}

/// The same where either number may be unknown; then the figure alone is all that can be said.
pub(crate) fn of_some(figure: String, n: Option<u64>, of: Option<u64>) -> String {
    match n.zip(of) {
        Some((n, total)) => self::of(figure, n, total),
        None => figure,
    }
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn a_figure_that_is_not_over_all_values_says_so() {
        assert_eq!(of("$0.015".to_owned(), 1, 89), "$0.015 (1/89)");
        assert_eq!(of("$1.300".to_owned(), 89, 89), "$1.300");
    }
}
