//! What is repaired, what is not, and that nothing else changes.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

#[test]
fn half_surrogate_pairs_become_a_replacement_character() {
    for (text, expected) in [
        (r#""cut \ud83d""#, r#""cut \ufffd""#),
        (r#""\uD83D\uDE00""#, r#""\uD83D\uDE00""#),
        (r#""\ude00""#, r#""\ufffd""#),
        (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
        (r#""\ud83d\n\ud83dx""#, r#""\ufffd\n\ufffdx""#),
        (r#""\ud83d\"""#, r#""\ufffd\"""#),
        (r#""\ud83d\\ud83d""#, r#""\ufffd\\ud83d""#),
        (r#""\\ud83d""#, r#""\\ud83d""#),
        (
            r#""\ud83d\u0041\udc00\udc00""#,
            r#""\ufffd\u0041\ufffd\ufffd""#,
        ),
        (r#"{"k\ud83d":1}"#, r#"{"k\ufffd":1}"#),
        (r#""\ud83d\u00""#, r#""\ufffd\u00""#),
        (r#""\ud8""#, r#""\ud8""#),
    ] {
        assert_eq!(repaired(text), expected);
    }
}

#[test]
fn what_is_no_number_becomes_a_string() {
    assert_eq!(
        repaired(r#"{"a":NaN,"b":[-Infinity, Infinity],"NaN":"NaN Infinity"}"#),
        r#"{"a":"NaN","b":["-Infinity", "Infinity"],"NaN":"NaN Infinity"}"#
    );
    assert_eq!(repaired("NaN"), "\"NaN\"");
    for other in ["nan", "NaNs", "+Infinity", "--Infinity", "-NaN", "[Na"] {
        assert_eq!(repaired(other), other);
    }
    assert_eq!(repaired("\"a\nb\u{1}\""), "\"a\\u000ab\\u0001\"");
}

#[test]
fn what_no_reader_accepts_is_read_as_text() {
    let deep = format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000));
    let text = format!(r#"{{"a":{deep},"b":1e999,"c":-1e999,"d":2,"e":"\ud83d"}}"#);
    let value: Value = read(&text);
    assert_eq!(value["b"], "1e999");
    assert_eq!(value["c"], "-1e999");
    assert_eq!((&value["d"], &value["e"]), (&json!(2), &json!("\u{fffd}")));
    assert!(value.to_string().contains("(nested too deeply)"));
    assert_eq!(read::<Value>("{\"a\":NaN,"), Value::Null, "torn is torn");
    assert_eq!(read::<Value>(&"[".repeat(5_000)), Value::Null);
}

#[test]
fn only_odd_objects_are_stored_as_another_text() {
    let nested = |levels: usize| format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
    assert_eq!(storable(&nested(MAX_DEPTH)), None);
    let stored = storable(&nested(MAX_DEPTH + 1)).unwrap();
    assert_eq!(depth(&stored), MAX_DEPTH);
    assert!(serde_json::from_str::<Value>(&stored).is_ok(), "{stored}");
    let wide = format!("[{}]", vec!["{}"; 1_000].join(","));
    assert_eq!(storable(&wide), None);
    assert_eq!(storable(r#"{"a" : 1e999,"b":"\ud83d\ude00"}"#), None);
    let half = r#"{"a" : 1e999,"b":"\uD83D"}"#;
    assert_eq!(
        storable(half).as_deref(),
        Some(r#"{"a" : 1e999,"b":"\ufffd"}"#)
    );
}

#[test]
fn odd_values_are_found_with_their_paths() {
    let found = |text: &str| -> Vec<String> {
        let found = odd_values(text, 10).into_iter();
        found
            .map(|odd| format!("{} {}", odd.path, odd.what))
            .collect()
    };
    assert_eq!(
        found(r#"{"a":[0,{"b":"\ufffd"}],"c":"NaN","d":{"e":1,"e":2},"f":1e999,"g":"\ud83d"}"#),
        [
            "a[1].b has half a character, shown as U+FFFD",
            "c is no number in JSON, and shown as text",
            "d.e is there twice; the last one counts",
            "f is too large for a number, and shown as text",
            "g has half a character, shown as U+FFFD",
        ]
    );
    assert_eq!(
        found(r#"{"a":{"x":1},"b":{"x":1},"c":["x","x"],"d":"NaNs"}"#),
        [""; 0]
    );
    let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(500), "]".repeat(500));
    assert_eq!(found(&deep).len(), 1);
    let stored = storable(&deep).unwrap();
    assert!(found(&stored)[0].starts_with("a[0][0]"));
    assert_eq!(odd_values(r#"["NaN","NaN","NaN"]"#, 2).len(), 2);
}

/// Texts that are likely to meet every state.
const PIECES: &str = r#"(\\u[dD][89c-fC-F][0-9a-f]{2}|\\|\\u|"|NaN|-|Infinity|[\[\]{},: ]|1e999|é|
|x|ud83d){0,40}"#;

proptest! {
    #[test]
    fn any_text_is_repaired_without_a_panic(text in PIECES, cut in 0_usize..200) {
        let mended = repaired(&text);
        prop_assert_eq!(repaired(&mended), mended.clone(), "once is enough");
        drop((storable(&text), odd_values(&text, 5), read::<Value>(&text)));
        // In pieces it is the same.
        let bytes = text.as_bytes();
        let (first, second) = bytes.split_at(cut.min(bytes.len()));
        let (mut repairer, mut out, mut whole) = (Repairer::default(), Vec::new(), Vec::new());
        repairer.push(first, &mut out);
        let settled = repairer.settled(&out);
        whole.extend_from_slice(&out[..settled]);
        out.drain(..settled);
        repairer.push(second, &mut out);
        repairer.finish(&mut out);
        whole.extend_from_slice(&out);
        prop_assert_eq!(&*String::from_utf8_lossy(&whole), &*mended);
    }

    #[test]
    fn arbitrary_bytes_are_valid_afterwards_or_refused_as_before(bytes: Vec<u8>) {
        let text = String::from_utf8_lossy(&bytes);
        let before = serde_json::from_str::<Value>(&text).ok();
        if before.is_some() {
            prop_assert_eq!(&repaired(&text), &text);
        }
        let after = parse::<Value>(&text);
        prop_assert!(before.is_none() || before == after);
    }

    #[test]
    fn valid_json_is_returned_unchanged(texts: Vec<String>, number: f64, odd in 0_usize..3) {
        let value = json!({"a": texts, "b": {"c": number, "d": NOT_NUMBERS[odd]}});
        let text = value.to_string();
        prop_assert_eq!(repaired(&text), text.as_str());
        // Escaped as Python does, with pairs.
        let escaped: String = text.encode_utf16().map(|unit| match unit {
            0x20..=0x7e => char::from(unit as u8).to_string(),
            other => format!("\\u{other:04x}"),
        }).collect();
        prop_assert_eq!(repaired(&escaped), escaped.as_str());
        prop_assert_eq!(read::<Value>(&escaped), read::<Value>(&text));
    }

    #[test]
    fn a_mended_value_is_what_python_would_read(before: String, after: String) {
        let text = json!({"a": before, "b": after}).to_string();
        let text = text.replacen("\"b\":", r#""odd":[NaN,"\ud83d",-Infinity],"b":"#, 1);
        let value: Value = read(&text);
        prop_assert_eq!(value["a"].as_str(), Some(&*before));
        prop_assert_eq!(value["b"].as_str(), Some(&*after));
        prop_assert_eq!(&value["odd"], &json!(["NaN", "\u{fffd}", "-Infinity"]));
    }
}
