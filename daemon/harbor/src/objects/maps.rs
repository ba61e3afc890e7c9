//! Maps for JSON.

use std::collections::BTreeMap;

/// Returns values by key.
pub(super) fn to_map(values: &[(String, f64)]) -> BTreeMap<&str, f64> {
    values
        .iter()
        .map(|(key, value)| (key.as_str(), *value))
        .collect()
}

/// Counts how often each word occurs.
pub(super) fn count_words<'a>(words: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, u64> {
    let mut counts = BTreeMap::new();
    for word in words {
        *counts.entry(word).or_default() += 1;
    }
    counts
}
