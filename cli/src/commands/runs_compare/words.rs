//! What tables and Markdown of comparisons call sides, differences and verdicts.

use docks_proto::comparison::{Delta, Side, Verdict};

/// Returns what a side is called: with its remote, if there are several.
pub(super) fn label(side: &Side) -> String {
    match &side.remote {
        Some(remote) => format!("{remote}:{}", side.name),
        None => side.name.clone(),
    }
}

/// A difference with its interval, in points where it is one of shares.
pub(super) fn difference(delta: &Delta) -> String {
    let amount = |value: f64| match (delta.scale.as_str(), delta.metric.starts_with("solved")) {
        ("ratio", _) => format!("×{value:.2}"),
        (_, true) => format!("{:+.1}", 100.0 * value),
        _ => format!("{value:+.3}"),
    };
    match (delta.value, delta.low.zip(delta.high)) {
        (Some(value), Some((low, high))) => {
            format!("{} ({} to {})", amount(value), amount(low), amount(high))
        }
        (Some(value), None) => amount(value),
        (None, _) => "-".to_owned(),
    }
}

/// A verdict in words.
pub(super) fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Better => "better",
        Verdict::Worse => "worse",
        Verdict::NoDifference => "no difference",
        Verdict::Unclear => "unclear",
    }
}
