//! Tokens and cost.

use crate::format::json::{Object, Value};

/// Tokens and cost.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Usage {
    /// Input tokens, cached ones included.
    pub(crate) input_tokens: Option<u64>,
    /// Cached input tokens.
    pub(crate) cache_tokens: Option<u64>,
    /// Output tokens.
    pub(crate) output_tokens: Option<u64>,
    /// Cost in US dollars; `NaN` is added to nothing.
    pub(crate) cost_usd: Option<f64>,
}

impl Usage {
    /// Reads the usage of a result or a step.
    pub(crate) fn read(result: &Object<'_>) -> Self {
        Self {
            input_tokens: result.count("n_input_tokens"),
            cache_tokens: result.count("n_cache_tokens"),
            output_tokens: result.count("n_output_tokens"),
            cost_usd: result.get("cost_usd").and_then(Value::any_number),
        }
    }

    /// Returns input tokens with cached ones. More cached tokens than input tokens were not counted among them.
    pub(crate) fn all_input_tokens(&self) -> Option<u64> {
        let (input, cached) = (self.input_tokens?, self.cache_tokens.unwrap_or(0));
        Some(if cached > input {
            input.saturating_add(cached)
        } else {
            input
        })
    }

    /// Returns the sum; what neither side knows stays unknown.
    pub(crate) fn plus(self, other: Self) -> Self {
        fn sum<T>(a: Option<T>, b: Option<T>, add: impl Fn(T, T) -> T) -> Option<T> {
            match (a, b) {
                (Some(a), Some(b)) => Some(add(a, b)),
                (a, b) => a.or(b),
            }
        }
        Self {
            input_tokens: sum(self.input_tokens, other.input_tokens, u64::saturating_add),
            cache_tokens: sum(self.cache_tokens, other.cache_tokens, u64::saturating_add),
            output_tokens: sum(self.output_tokens, other.output_tokens, u64::saturating_add),
            cost_usd: sum(self.cost_usd, other.cost_usd, |a, b| match (a, b) {
                (a, b) if b.is_finite() && !a.is_finite() => b,
                (a, b) if a.is_finite() && !b.is_finite() => a,
                (a, b) => a + b,
            }),
        }
    }
}
