//! Numbers in place of values that recur in thousands of trials, so that these are compared and counted without looking
//! at texts.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Values, numbered from 0 in the order in which they were first seen.
#[derive(Debug)]
pub(crate) struct Numbers<T: ?Sized> {
    numbers: BTreeMap<Arc<T>, u32>,
    values: Vec<Arc<T>>,
}

impl<T: ?Sized> Default for Numbers<T> {
    fn default() -> Self {
        Self {
            numbers: BTreeMap::new(),
            values: Vec::new(),
        }
    }
}

impl<T: ?Sized + Ord + ToOwned> Numbers<T>
where
    Arc<T>: From<T::Owned>,
{
    /// Returns the number of a value.
    pub(crate) fn number_of(&mut self, value: &T) -> u32 {
        if let Some(number) = self.numbers.get(value) {
            return *number;
        }
        let number = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        let value: Arc<T> = value.to_owned().into();
        self.values.push(Arc::clone(&value));
        self.numbers.insert(value, number);
        number
    }

    /// Returns the number of a value that has one.
    pub(crate) fn find(&self, value: &T) -> Option<u32> {
        self.numbers.get(value).copied()
    }

    /// Returns the value with a number.
    pub(crate) fn value(&self, number: u32) -> &T {
        &self.values[number as usize]
    }

    /// Returns how many values there are.
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// Returns the rank of each number among all values, from 0 for the smallest.
    pub(crate) fn ranks(&self) -> Vec<u32> {
        let mut ranks = vec![0; self.values.len()];
        for (rank, number) in (0..).zip(self.numbers.values()) {
            ranks[*number as usize] = rank;
        }
        ranks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_and_ranks_follow_the_values() {
        let mut numbers: Numbers<str> = Numbers::default();
        let all = ["m", "a", "z", "m"].map(|text| numbers.number_of(text));
        assert_eq!(all, [0, 1, 2, 0]);
        assert_eq!(numbers.value(2), "z");
        assert_eq!(numbers.ranks(), [1, 0, 2]);
        assert_eq!((numbers.find("a"), numbers.find("b")), (Some(1), None));
    }
}
