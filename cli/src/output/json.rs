//! JSON as the remote sent it: whitespace may change, tokens do not.
//!
//! Numbers, key order and repeated keys are kept, since nothing is parsed into values. Callers
//! pass text that is JSON.

use docks_proto::freshness::{AnsweredBy, Freshness};
use docks_proto::repair::for_each_token;
use serde::Serialize;

use super::clean;

/// Formats JSON on one line.
pub(crate) fn compact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for_each_token(text, &mut |token| out.push_str(token));
    out
}

/// Formats JSON with indentation, for people.
///
/// Characters that a terminal would interpret are escaped inside strings, which changes the text
/// but not the value.
pub(crate) fn indent(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let mut depth = 0usize;
    let mut opened = false;
    for_each_token(text, &mut |token| {
        let closes = matches!(token, "}" | "]");
        if closes {
            depth = depth.saturating_sub(1);
        }
        if opened != closes && (opened || closes) {
            new_line(&mut out, depth);
        }
        opened = false;
        match token {
            "{" | "[" => {
                out.push_str(token);
                depth += 1;
                opened = true;
            }
            "," => {
                out.push(',');
                new_line(&mut out, depth);
            }
            ":" => out.push_str(": "),
            _ => push_escaped(token, &mut out),
        }
    });
    out
}

fn new_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth));
}

fn push_escaped(token: &str, out: &mut String) {
    for c in token.chars() {
        if c.is_control() || clean::is_deceptive(c) {
            let mut units = [0u16; 2];
            for unit in c.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
    }
}

/// What `--meta` adds to an answer, before its data.
#[derive(Serialize)]
struct Meta<'a> {
    schema_version: u32,
    as_of: String,
    age_ms: u64,
    stale: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    incomplete: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    incomplete_reason: Option<&'a str>,
    source: AnsweredBy,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
}

/// What `--meta` says of one of several remotes.
#[derive(Debug, Serialize)]
pub(crate) struct RemoteMeta<'a> {
    remote: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    as_of: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    age_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stale: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<AnsweredBy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

impl<'a> RemoteMeta<'a> {
    /// Describes a remote that answered.
    pub(crate) fn answered(remote: &'a str, freshness: &'a Freshness) -> Self {
        Self {
            remote,
            as_of: Some(freshness.as_of.rfc3339()),
            age_ms: Some(age_ms(freshness)),
            stale: Some(freshness.is_stale()),
            reason: freshness.stale_reason.as_deref(),
            source: Some(freshness.answered_by),
            error: None,
        }
    }

    /// Describes a remote that did not.
    pub(crate) fn unanswered(remote: &'a str, error: &'a str) -> Self {
        Self {
            remote,
            as_of: None,
            age_ms: None,
            stale: None,
            reason: None,
            source: None,
            error: Some(error),
        }
    }
}

/// As [`with_meta`] for the merged answers of several remotes, of which `oldest` is the oldest.
pub(crate) fn with_remotes_meta(
    oldest: &Freshness,
    total: Option<u64>,
    remotes: &[RemoteMeta<'_>],
    data: &str,
) -> String {
    let remotes =
        serde_json::to_string(remotes).expect("strings and numbers can be serialised as JSON");
    let whole = with_meta(oldest, total, data);
    let members = whole.strip_prefix('{').unwrap_or(&whole);
    format!("{{\"remotes\":{remotes},{members}")
}

fn age_ms(freshness: &Freshness) -> u64 {
    u64::try_from(freshness.age.as_millis()).unwrap_or(u64::MAX)
}

/// Wraps an answer in an object that says how old it is and where it came from.
pub(crate) fn with_meta(freshness: &Freshness, total: Option<u64>, data: &str) -> String {
    let meta = Meta {
        schema_version: 1,
        as_of: freshness.as_of.rfc3339(),
        age_ms: age_ms(freshness),
        stale: freshness.is_stale(),
        reason: freshness.stale_reason.as_deref(),
        incomplete: freshness.incomplete.is_some().then_some(true),
        incomplete_reason: freshness.incomplete.as_deref(),
        source: freshness.answered_by,
        total,
    };
    let mut out =
        serde_json::to_string(&meta).expect("strings and numbers can be serialised as JSON");
    out.pop();
    out.push_str(",\"data\":");
    out.push_str(data);
    out.push('}');
    out
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use docks_proto::time::UnixMs;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_whitespace_changes() {
        let text = r#" [ {"a" : 1.50, "b":[ ], "a": 1e400,"s":"x , \" \\", "o":{}} ,12345678901234567890 ] "#;
        assert_eq!(
            compact(text),
            r#"[{"a":1.50,"b":[],"a":1e400,"s":"x , \" \\","o":{}},12345678901234567890]"#
        );
        assert_eq!(compact(&indent(text)), compact(text));
        assert_eq!(
            indent(r#"{"a":[1,{}],"b":[]}"#),
            "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": []\n}"
        );
    }

    #[test]
    fn indented_json_has_no_control_characters_and_the_same_value() {
        let text = "{\"a\":\"x\u{9b}2J\u{202e}\u{7f}\u{e0041}\"}";
        let indented = indent(text);
        assert!(
            !indented
                .chars()
                .any(|c| c != '\n' && (c.is_control() || clean::is_deceptive(c)))
        );
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(value(&indented), value(text));
    }

    #[test]
    fn meta_wraps_the_data_without_changing_it() {
        let freshness = Freshness {
            as_of: UnixMs(0),
            age: Duration::from_millis(1_500),
            stale_reason: Some("remote unreachable".into()),
            incomplete: Some("the sync was cut off".into()),
            notice: None,
            answered_by: AnsweredBy::Mirror,
        };
        assert_eq!(
            with_meta(&freshness, Some(7), "[ 1.0 ]"),
            "{\"schema_version\":1,\"as_of\":\"1970-01-01T00:00:00.000Z\",\"age_ms\":1500,\
             \"stale\":true,\"reason\":\"remote unreachable\",\"incomplete\":true,\
             \"incomplete_reason\":\"the sync was cut off\",\"source\":\"mirror\",\
             \"total\":7,\"data\":[ 1.0 ]}"
        );
    }

    proptest! {
        #[test]
        fn any_text_is_split_into_tokens_without_a_panic(text in "\\PC{0,60}|[\\[\\]{},:\"\\\\ a]{0,60}") {
            drop((compact(&text), indent(&text)));
        }
    }
}
