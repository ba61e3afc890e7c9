//! What an evaluation run has used: its cost and tokens, and of how many trials they are known.

use serde_json::Value;

use crate::object::RawObject;
use crate::repair;
use crate::trial::with_cached;

/// Cost and tokens of an evaluation run, as its object states them. A Docks API states neither.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct RunUsage {
    /// Cost in US dollars, of the trials of which it is known.
    pub cost_usd: Option<f64>,
    /// The number of these trials; `None` if nothing says.
    pub cost_n: Option<u64>,
    /// Input and output tokens, with cached ones, of the trials of which they are known.
    pub tokens: Option<f64>,
    /// The number of these trials; `None` if nothing says.
    pub tokens_n: Option<u64>,
    /// The number of trials that have ended, of which both could be known.
    pub ended: Option<u64>,
}

impl RunUsage {
    /// Reads what a run states; what it does not is `None`.
    #[must_use]
    pub fn from_object(object: &RawObject) -> Self {
        let whole: &Value = &repair::read(object.text());
        let harbor = &whole["harbor"];
        let number = |key: &str| harbor[key].as_f64();
        let count = |key: &str| harbor[key].as_u64();
        let input = number("all_input_tokens").or_else(|| {
            let cached = number("cache_tokens").unwrap_or(0.0);
            Some(with_cached(number("input_tokens")?, cached))
        });
        let tokens = match (input, number("output_tokens")) {
            (Some(input), Some(output)) => Some(input + output),
            (input, output) => input.or(output),
        };
        Self {
            cost_usd: number("cost_usd").or_else(|| whole["cost_usd"].as_f64()),
            cost_n: count("cost_n"),
            tokens,
            tokens_n: count("tokens_n"),
            ended: harbor.pointer("/trials/ended").and_then(Value::as_u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(text: &str) -> RunUsage {
        RunUsage::from_object(&RawObject::parse(text).unwrap().unwrap())
    }

    #[test]
    fn cost_and_tokens_come_with_the_number_of_trials_that_they_are_known_of() {
        let found = usage(
            r#"{"harbor":{"cost_usd":0.015,"cost_n":1,"input_tokens":10,"cache_tokens":30,
                "output_tokens":2,"tokens_n":3,"trials":{"ended":89}}}"#,
        );
        let expected = RunUsage {
            cost_usd: Some(0.015),
            cost_n: Some(1),
            tokens: Some(42.0),
            tokens_n: Some(3),
            ended: Some(89),
        };
        assert_eq!(found, expected);
        assert_eq!(
            usage(r#"{"harbor":{"all_input_tokens":7}}"#).tokens,
            Some(7.0)
        );
    }

    #[test]
    fn what_is_not_stated_is_unknown() {
        for text in ["{}", r#"{"harbor":7}"#, r#"{"harbor":{"cost_usd":"a"}}"#] {
            assert_eq!(usage(text), RunUsage::default(), "{text}");
        }
        assert_eq!(usage(r#"{"cost_usd":2}"#).cost_usd, Some(2.0));
    }
}
