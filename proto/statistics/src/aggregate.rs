//! Sums and means that say how many values they are over.

/// A sum or a mean over the values that are known.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Aggregate {
    /// The sum or mean of the known values; `None` if none is known.
    pub value: Option<f64>,
    /// How many values are known.
    pub n: u64,
    /// Of how many that there could be.
    pub of: u64,
}

impl Aggregate {
    /// Returns the sum of the values that are known.
    pub fn sum(values: impl Iterator<Item = Option<f64>>) -> Self {
        let mut sum = Self::default();
        for value in values {
            sum.add(value);
        }
        sum
    }

    /// Returns the mean of the values that are known.
    pub fn mean(values: impl Iterator<Item = Option<f64>>) -> Self {
        Self::sum(values).per_known()
    }

    /// Adds a value that is known or not; one that is not finite is not known.
    pub fn add(&mut self, value: Option<f64>) {
        self.of += 1;
        if let Some(value) = value.filter(|value| value.is_finite()) {
            self.n += 1;
            self.value = Some(self.value.unwrap_or(0.0) + value);
        }
    }

    /// Turns a sum into the mean.
    #[must_use]
    pub fn per_known(self) -> Self {
        Self {
            value: self.value.map(|sum| sum / self.n as f64),
            ..self
        }
    }

    /// Whether every value that there could be is known.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.n == self.of
    }
}

/// Returns the median of some values; `None` of none.
#[must_use]
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    Some(if values.len().is_multiple_of(2) {
        0.5 * (values[middle - 1] + upper)
    } else {
        upper
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_value_is_counted_and_is_not_zero() {
        let sum = Aggregate::sum([Some(1.5), None, Some(f64::NAN), Some(0.5)].into_iter());
        let expected = Aggregate {
            value: Some(2.0),
            n: 2,
            of: 4,
        };
        assert_eq!(sum, expected);
        assert_eq!(sum.per_known().value, Some(1.0));
        assert!(!sum.is_complete());
        assert_eq!(Aggregate::mean([None].into_iter()).value, None);
        assert!(Aggregate::default().is_complete());
    }

    #[test]
    fn the_median_is_the_middle_or_between_the_two() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }
}
