//! The order in which people expect names: `episode-9` before `episode-10`.

use std::cmp::Ordering;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// Compares two names; numbers in them by value.
pub(super) fn natural_order(a: &OsStr, b: &OsStr) -> Ordering {
    let (whole_a, whole_b) = (a.as_bytes(), b.as_bytes());
    let (mut a, mut b) = (whole_a, whole_b);
    loop {
        let ((number_a, after_a), (number_b, after_b)) = (split_number(a), split_number(b));
        let order = if !number_a.is_empty() && !number_b.is_empty() {
            (a, b) = (after_a, after_b);
            compare_numbers(number_a, number_b)
        } else {
            match (a.split_first(), b.split_first()) {
                (Some((first_a, rest_a)), Some((first_b, rest_b))) => {
                    (a, b) = (rest_a, rest_b);
                    first_a.cmp(first_b)
                }
                // Distinct names such as `1` and `01` are never equal.
                (None, None) => return whole_a.cmp(whole_b),
                (rest_a, rest_b) => return rest_a.is_some().cmp(&rest_b.is_some()),
            }
        };
        if order.is_ne() {
            return order;
        }
    }
}

/// Splits off the digits with which a text begins.
fn split_number(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit());
    text.split_at(end.unwrap_or(text.len()))
}

/// Compares numbers of any length.
fn compare_numbers(a: &[u8], b: &[u8]) -> Ordering {
    let significant = |digits: &[u8]| {
        let digits = digits.iter().copied();
        digits
            .skip_while(|digit| *digit == b'0')
            .collect::<Vec<u8>>()
    };
    let (a, b) = (significant(a), significant(b));
    a.len().cmp(&b.len()).then_with(|| a.cmp(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_by_value() {
        let mut names = ["b", "a10", "a9", "a", "a010", "a9b", "10", "9", "a1"];
        names.sort_by(|a, b| natural_order(OsStr::new(a), OsStr::new(b)));
        assert_eq!(
            names,
            ["9", "10", "a", "a1", "a9", "a9b", "a010", "a10", "b"]
        );
    }
}
