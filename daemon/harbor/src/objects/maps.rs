//! Maps for JSON.

use std::collections::BTreeMap;

use docks_proto::repair::NOT_NUMBERS;
use serde::{Serialize, Serializer};

/// A number in JSON; one that is not finite is written as a string, as it was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct AnyNumber(pub(super) f64);

impl Serialize for AnyNumber {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let [nan, infinity, minus_infinity] = NOT_NUMBERS;
        match self.0 {
            number if number.is_finite() => serializer.serialize_f64(number),
            number if number.is_nan() => serializer.serialize_str(nan),
            number if number > 0.0 => serializer.serialize_str(infinity),
            _ => serializer.serialize_str(minus_infinity),
        }
    }
}

/// Returns values by key.
pub(super) fn to_map(values: &[(String, f64)]) -> BTreeMap<&str, AnyNumber> {
    values
        .iter()
        .map(|(key, value)| (key.as_str(), AnyNumber(*value)))
        .collect()
}
