//! `[[failure_rule]]` in `daemon.toml`: why trials fail, besides the rules of this release.

use docks_proto::failures::FailureClass;
use docks_statistics::failures::Rule;
use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::value;

/// One table as it is written. A misspelt key is refused: without its condition the rule would apply to other trials.
#[derive(Debug, Default, Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "a table under `[[failure_rule]]`"
)]
struct RuleTable {
    #[serde(deserialize_with = "class")]
    class: Option<FailureClass>,
    #[serde(deserialize_with = "value::string")]
    cause: String,
    #[serde(deserialize_with = "value::one_or_more_strings", rename = "type")]
    types: Vec<String>,
    #[serde(deserialize_with = "value::one_or_more_strings")]
    words: Vec<String>,
}

fn class<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<FailureClass>, D::Error> {
    let name = value::string(deserializer)?;
    let class = FailureClass::from_name(&name).ok_or_else(|| {
        let known = FailureClass::ALL.map(FailureClass::name).join(", ");
        D::Error::custom(format!("it must be one of {known}, not `{name}`"))
    });
    class.map(Some)
}

/// A rule that was checked.
#[derive(Debug, Deserialize)]
#[serde(try_from = "RuleTable")]
struct CheckedRule(Rule);

impl TryFrom<RuleTable> for CheckedRule {
    type Error = String;

    fn try_from(table: RuleTable) -> Result<Self, String> {
        let class = table.class.ok_or("it needs a `class`")?;
        if table.cause.trim().is_empty() {
            return Err("it needs a `cause`, such as \"licence server\"".to_owned());
        }
        if table.types.is_empty() && table.words.is_empty() {
            return Err("it needs a `type` or `words` to apply to".to_owned());
        }
        // Nothing in front of the star: it would apply to every message.
        if table
            .words
            .iter()
            .any(|word| word.trim_end_matches('*').trim().is_empty())
        {
            return Err("each of `words` needs a letter or a digit".to_owned());
        }
        Ok(Self(Rule {
            class,
            cause: table.cause,
            types: table.types,
            words: table.words,
        }))
    }
}

/// Deserializes all rules.
pub(super) fn rules<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<Rule>>, D::Error> {
    let rules = value::tables::<CheckedRule, D>(deserializer, "[[failure_rule]]")?;
    Ok(Some(rules.into_iter().map(|rule| rule.0).collect()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::file::DaemonFile;

    #[test]
    fn an_error_in_a_rule_names_key_number_and_file() {
        let good = "class = \"limits\"\ncause = \"x\"\ntype = \"E\"";
        for (rule, problem) in [
            ("cause = \"x\"\ntype = \"E\"", "it needs a `class`"),
            (
                "class = \"limit\"",
                "`class`: it must be one of infrastructure, ",
            ),
            ("class = 3", "`class`: it must be a string"),
            ("class = \"limits\"\ntype = \"E\"", "it needs a `cause`"),
            (
                "class = \"limits\"\ncause = \"x\"",
                "it needs a `type` or `words`",
            ),
            (
                "class = \"limits\"\ncause = \"x\"\nwords = []",
                "`words`: it must not be empty",
            ),
            (
                "class = \"limits\"\ncause = \"x\"\nwords = \"*\"",
                "each of `words` needs",
            ),
            (
                "class = \"limits\"\ntypes = \"E\"",
                "`types`: unknown field `types`",
            ),
        ] {
            let text = format!("[[failure_rule]]\n{good}\n[[failure_rule]]\n{rule}\n");
            let error = DaemonFile::parse(Path::new("/h/daemon.toml"), &text).unwrap_err();
            let expected = format!("`failure_rule` in /h/daemon.toml: rule 2: {problem}");
            assert!(error.to_string().starts_with(&expected), "{error}");
        }
        let error = DaemonFile::parse(Path::new("/h/daemon.toml"), "failure_rule = 1").unwrap_err();
        assert!(error.to_string().contains("[[failure_rule]]"), "{error}");
    }
}
