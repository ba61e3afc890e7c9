//! What may be said of a difference.

use super::{LEVEL, PairedDifference, Scale};

pub use docks_proto::comparison::Verdict;

/// When a difference is claimed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Claim {
    /// The largest difference that counts as none; of a ratio, the largest share by which it may differ from 1.
    pub margin: f64,
    /// Whether less is better, as of costs.
    pub less_is_better: bool,
}

impl Claim {
    /// Judges a difference. `p` is its p-value, adjusted if several differences are judged.
    ///
    /// One is claimed if its interval excludes none *and* the test agrees.
    #[must_use]
    pub fn judge(self, difference: &PairedDifference, p: f64) -> Verdict {
        let Some(interval) = difference.interval else {
            return Verdict::Unclear;
        };
        let (none, low, high) = match difference.scale {
            Scale::Difference => (0.0, -self.margin, self.margin),
            Scale::Ratio => (1.0, 1.0 / (1.0 + self.margin), 1.0 + self.margin),
        };
        match () {
            () if is_shown(p) && interval.low > none => self.more(),
            () if is_shown(p) && interval.high < none => self.less(),
            () if interval.low >= low && interval.high <= high => Verdict::NoDifference,
            () => Verdict::Unclear,
        }
    }

    fn more(self) -> Verdict {
        if self.less_is_better {
            Verdict::Worse
        } else {
            Verdict::Better
        }
    }

    fn less(self) -> Verdict {
        if self.less_is_better {
            Verdict::Better
        } else {
            Verdict::Worse
        }
    }
}

/// Whether a p-value, adjusted if there are several, is small enough to claim a difference.
#[must_use]
pub fn is_shown(p: f64) -> bool {
    p <= LEVEL
}

#[cfg(test)]
mod tests {
    use super::super::{PairedTask, paired_difference};
    use super::*;
    use crate::interval::Interval;

    fn difference(low: f64, high: f64, scale: Scale) -> PairedDifference {
        let pair = PairedTask {
            before: vec![1.0],
            after: vec![1.0],
        };
        PairedDifference {
            interval: Some(Interval { low, high }),
            scale,
            ..paired_difference(&[pair], scale).unwrap()
        }
    }

    #[test]
    fn a_difference_is_claimed_only_if_interval_and_test_agree() {
        let more = Claim {
            margin: 0.02,
            less_is_better: false,
        };
        let less = Claim {
            less_is_better: true,
            ..more
        };
        for (low, high, p, expected) in [
            (0.01, 0.2, 0.01, Verdict::Better),
            (0.01, 0.2, 0.06, Verdict::Unclear),
            (-0.01, 0.2, 0.01, Verdict::Unclear),
            (-0.2, -0.01, 0.05, Verdict::Worse),
            (-0.01, 0.015, 0.9, Verdict::NoDifference),
            (0.001, 0.015, 0.01, Verdict::Better),
        ] {
            let found = more.judge(&difference(low, high, Scale::Difference), p);
            assert_eq!(found, expected, "{low} {high} {p}");
        }
        let cheaper = difference(0.7, 0.9, Scale::Ratio);
        assert_eq!(less.judge(&cheaper, 0.01), Verdict::Better);
        let same = difference(0.99, 1.01, Scale::Ratio);
        assert_eq!(less.judge(&same, 0.5), Verdict::NoDifference);
        let unknown = PairedDifference {
            interval: None,
            ..same
        };
        assert_eq!(less.judge(&unknown, 0.001), Verdict::Unclear);
    }
}
