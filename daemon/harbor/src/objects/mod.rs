//! Jobs and trials as the Docks API's objects, with a `harbor` object for what it has no field for.

mod artifact;
mod figures;
mod job;
mod trial;

use std::collections::BTreeMap;

pub(super) use crate::objects::job::{Evaluation, Harbor, Run};
pub(super) use crate::objects::trial::Trial;

fn map(values: &[(String, f64)]) -> BTreeMap<&str, f64> {
    values
        .iter()
        .map(|(key, value)| (key.as_str(), *value))
        .collect()
}

fn count<'a>(words: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, u64> {
    let mut counts = BTreeMap::new();
    for word in words {
        *counts.entry(word).or_default() += 1;
    }
    counts
}
