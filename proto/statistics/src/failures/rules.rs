//! Rules that sort failures by the types of exceptions and the words of messages.

use std::collections::HashMap;

use aho_corasick::{AhoCorasick, MatchKind};
use docks_proto::failures::FailureClass;
use serde::Deserialize;

/// The rules of this release, in the order in which they are tried.
const BUILT_IN: &str = include_str!("rules.toml");

/// Sorts failures of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Their class.
    pub class: FailureClass,
    /// Their cause, a word or two.
    pub cause: String,
    /// The trial has an exception of one of these types, compared without case; empty for any or none.
    #[serde(default)]
    pub types: Vec<String>,
    /// The message contains one of these, compared without the case of ASCII letters, as whole words; a `*` at the end
    /// stands for the rest of a word. Empty for any message.
    #[serde(default)]
    pub words: Vec<String>,
}

#[derive(Deserialize)]
struct RuleFile {
    rule: Vec<Rule>,
}

/// Rules in the order in which they are tried, ready to use.
#[derive(Debug, Clone)]
pub struct RuleSet {
    rules: Vec<Rule>,
    /// The rules that a type alone decides, by the type in lower case; the first of several.
    by_type: HashMap<String, usize>,
    words: AhoCorasick,
    /// Of each word that is searched for, its rule.
    rule_of_word: Vec<usize>,
    /// Whether a word may go on after what is searched for.
    is_stem: Vec<bool>,
}

/// A rule that applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Match<'r, 't> {
    pub(super) rule: &'r Rule,
    /// The type of the exception, or the words of the message as they stand there.
    pub(super) decided_by: &'t str,
}

impl RuleSet {
    /// Returns these rules, followed by those of this release.
    #[must_use]
    pub fn with_built_in(first: Vec<Rule>) -> Self {
        let file: RuleFile = toml::from_str(BUILT_IN).expect("a test reads the rules");
        let mut rules = first;
        rules.extend(file.rule);
        Self::new(rules)
    }

    fn new(rules: Vec<Rule>) -> Self {
        let mut by_type = HashMap::new();
        let (mut patterns, mut rule_of_word, mut is_stem) = (Vec::new(), Vec::new(), Vec::new());
        for (at, rule) in rules.iter().enumerate() {
            if rule.words.is_empty() {
                for kind in &rule.types {
                    by_type.entry(kind.to_ascii_lowercase()).or_insert(at);
                }
            }
            for word in &rule.words {
                let stem = word.strip_suffix('*');
                patterns.push(stem.unwrap_or(word));
                rule_of_word.push(at);
                is_stem.push(stem.is_some());
            }
        }
        let words = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            // All matches are needed: the first rule decides, not the first word.
            .match_kind(MatchKind::Standard)
            .build(patterns)
            .expect("no settings file has the 2 GB of words that are too many");
        Self {
            by_type,
            words,
            rule_of_word,
            is_stem,
            rules,
        }
    }

    /// Returns the first rule that applies to exceptions of these types with this message.
    pub(super) fn first_match<'t>(
        &self,
        types: &'t [impl AsRef<str>],
        message: &'t str,
    ) -> Option<Match<'_, 't>> {
        let mut first: Option<(usize, &'t str)> = None;
        for kind in types {
            let kind = kind.as_ref();
            let found = self.by_type.get(&kind.to_ascii_lowercase());
            if let Some(&at) = found.filter(|at| first.is_none_or(|(best, _)| **at < best)) {
                first = Some((at, kind));
            }
        }
        for found in self.words.find_overlapping_iter(message) {
            let pattern = found.pattern().as_usize();
            let at = self.rule_of_word[pattern];
            if first.is_none_or(|(best, _)| at < best)
                && is_whole_word(message, found.start(), found.end(), self.is_stem[pattern])
                && self.rules[at].allows(types)
            {
                first = Some((at, whole_words(message, found.start(), found.end())));
            }
        }
        first.map(|(at, decided_by)| Match {
            rule: &self.rules[at],
            decided_by,
        })
    }
}

impl Rule {
    fn allows(&self, types: &[impl AsRef<str>]) -> bool {
        let is_one = |kind: &str| types.iter().any(|t| t.as_ref().eq_ignore_ascii_case(kind));
        self.types.is_empty() || self.types.iter().any(|kind| is_one(kind))
    }
}

/// Whether a match does not begin or end within a word. Underscores separate words, as in names of errors.
fn is_whole_word(text: &str, start: usize, end: usize, is_stem: bool) -> bool {
    let bytes = text.as_bytes();
    let goes_on = |inside: u8, outside: Option<&u8>| {
        inside.is_ascii_alphanumeric() && outside.is_some_and(u8::is_ascii_alphanumeric)
    };
    let begins_within = start > 0 && goes_on(bytes[start], bytes.get(start - 1));
    !begins_within && (is_stem || !goes_on(bytes[end - 1], bytes.get(end)))
}

/// Returns a match, with the rest of its last word.
fn whole_words(text: &str, start: usize, end: usize) -> &str {
    let rest = text[end..].find(|c: char| !c.is_ascii_alphanumeric());
    &text[start..rest.map_or(text.len(), |rest| end + rest)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(class: FailureClass, cause: &str, types: &[&str], words: &[&str]) -> Rule {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Rule {
            class,
            cause: cause.to_owned(),
            types: texts(types),
            words: texts(words),
        }
    }

    fn built_in(types: &[&str], message: &str) -> Option<(FailureClass, String, String)> {
        let rules = RuleSet::with_built_in(Vec::new());
        let found = rules.first_match(types, message)?;
        let cause = found.rule.cause.clone();
        Some((found.rule.class, cause, found.decided_by.to_owned()))
    }

    #[test]
    fn every_rule_of_this_release_has_something_to_go_by_and_can_apply() {
        let rules = RuleSet::with_built_in(Vec::new());
        for rule in &rules.rules {
            assert!(
                !rule.types.is_empty() || !rule.words.is_empty(),
                "{}",
                rule.cause
            );
            if rule.words.is_empty() {
                for kind in &rule.types {
                    let types = [kind];
                    let found = rules.first_match(&types, "").unwrap();
                    assert_eq!(found.rule, rule, "{kind} is in two rules");
                }
            }
            for word in &rule.words {
                let word = word.trim_end_matches('*');
                let types = [rule.types.first().map_or("SomeError", String::as_str)];
                let found = rules.first_match(&types, word).unwrap();
                assert_eq!(found.rule, rule, "`{word}` is decided by another rule");
            }
        }
    }

    #[test]
    fn every_rule_is_documented() {
        let documented = include_str!("../../../../docs/failures.md");
        for rule in &RuleSet::with_built_in(Vec::new()).rules {
            let row = format!("| `{}` | `{}` |", rule.class.name(), rule.cause);
            let rows: Vec<&str> = documented.lines().filter(|l| l.starts_with(&row)).collect();
            assert!(!rows.is_empty(), "docs/failures.md lacks {row}");
            for text in rule.types.iter().chain(&rule.words) {
                let listed = format!("`{text}`");
                let is_listed = rows.iter().any(|line| line.contains(&listed));
                assert!(is_listed, "{row} lacks {listed}");
            }
        }
    }

    #[test]
    fn every_type_that_harbor_knows_has_a_class() {
        for kind in crate::harbor::known_types() {
            assert!(built_in(&[kind], "").is_some(), "{kind}");
        }
    }

    #[test]
    fn specific_types_come_before_words_and_words_before_general_types() {
        use FailureClass::{Configuration, Grading, Infrastructure, Limits};
        for (kind, message, class, cause, by) in [
            (
                "AgentTimeoutError",
                "connection refused, then timed out",
                Limits,
                "agent time-out",
                "AgentTimeoutError",
            ),
            (
                "NonZeroAgentExitCodeError",
                "Error 429: slow down",
                Infrastructure,
                "rate limit",
                "Error 429",
            ),
            (
                "NonZeroAgentExitCodeError",
                "exit code 1",
                Limits,
                "agent exit",
                "NonZeroAgentExitCodeError",
            ),
            (
                "RuntimeError",
                "package mirror UNREACHABLE",
                Infrastructure,
                "network",
                "UNREACHABLE",
            ),
            (
                "unknown",
                "CUDA out of memory.",
                Infrastructure,
                "out of memory",
                "out of memory",
            ),
            (
                "rewardfilenotfounderror",
                "",
                Grading,
                "no reward",
                "rewardfilenotfounderror",
            ),
            (
                "AuthenticationError",
                "invalid x-api-key",
                Configuration,
                "credentials",
                "AuthenticationError",
            ),
        ] {
            let expected = (class, cause.to_owned(), by.to_owned());
            assert_eq!(
                built_in(&[kind], message),
                Some(expected),
                "{kind} {message}"
            );
        }
        assert_eq!(built_in(&["RuntimeError"], "boom"), None);
    }

    #[test]
    fn words_are_whole_words() {
        for message in ["error 4290", "line 429", "the bedroom", "no memoryleak"] {
            assert_eq!(built_in(&["SomeError"], message), None, "{message}");
        }
        let found = built_in(&["X"], "hit ratelimits").unwrap();
        assert_eq!(found.2, "ratelimits");
        // Next to letters that are not ASCII, and at the end.
        assert!(built_in(&["X"], "éoomé").is_some());
    }

    #[test]
    fn own_rules_come_first_and_may_need_type_and_words() {
        let own = rule(
            FailureClass::Infrastructure,
            "licence server",
            &["AgentTimeoutError"],
            &["no licence"],
        );
        let rules = RuleSet::with_built_in(vec![own]);
        let cause = |kind: &str, message: &str| {
            let types = [kind];
            let found = rules.first_match(&types, message);
            found.map(|found| found.rule.cause.clone())
        };
        let both = cause("AgentTimeoutError", "No licence left");
        assert_eq!(both.as_deref(), Some("licence server"));
        assert_eq!(
            cause("AgentTimeoutError", "").as_deref(),
            Some("agent time-out")
        );
        assert_eq!(cause("OtherError", "no licence"), None);
    }
}
