//! Formats the summary of a result.

use crate::output::cell::TextStyle;
use crate::output::clean;
use crate::output::json;
use crate::output::table::{pad, text_width};

use super::summary::ResultSummary;

/// Number of failed tests that are named; the others are counted.
const MAX_FAILED_TESTS: usize = 50;

/// Width up to which names are padded.
const MAX_NAME_WIDTH: usize = 40;

impl ResultSummary {
    /// Formats what was found.
    pub(super) fn render(&self, colour: bool) -> String {
        let mut out = String::new();
        let mut section = |heading: &str, lines: Vec<String>, style: Option<TextStyle>| {
            if lines.is_empty() {
                return;
            }
            if !out.is_empty() {
                out.push('\n');
            }
            out.push_str(&TextStyle::paint(Some(TextStyle::Bold), heading, colour));
            out.push('\n');
            for line in lines.iter().flat_map(|text| text.lines()) {
                let line = clean::text_with_tabs(line.as_bytes());
                out.push_str(&format!("  {}\n", TextStyle::paint(style, &line, colour)));
            }
        };
        let pairs = |pairs: &[(&str, &String)]| -> Vec<String> {
            let width = pairs.iter().map(|(name, _)| text_width(name)).max();
            let width = width.unwrap_or(0).min(MAX_NAME_WIDTH);
            let line = |(name, value): &(&str, &String)| format!("{}  {value}", pad(name, width));
            pairs.iter().map(line).collect()
        };
        let rewards: Vec<_> = self.rewards.iter().map(|(n, v)| (n.as_str(), v)).collect();
        section("Rewards", pairs(&rewards), None);
        if let Some((passed, all)) = self.tests {
            section("Tests", vec![format!("{passed} of {all} passed")], None);
        }
        let mut failed: Vec<_> = self
            .failed_tests
            .iter()
            .take(MAX_FAILED_TESTS)
            .cloned()
            .collect();
        if self.failed_tests.len() > MAX_FAILED_TESTS {
            failed.push(format!(
                "… {} more",
                self.failed_tests.len() - MAX_FAILED_TESTS
            ));
        }
        section("Failed tests", failed, Some(TextStyle::Red));
        section("Errors", self.errors.clone(), Some(TextStyle::Red));
        let facts: Vec<_> = self.facts.iter().map(|(n, v)| (*n, v)).collect();
        section("Facts", pairs(&facts), None);
        for other in &self.other {
            section("Result", vec![json::indent(other)], None);
        }
        out
    }
}
