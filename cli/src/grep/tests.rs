use proptest::prelude::*;

use super::*;

/// Returns the lines of a text as `docks runs logs` sees them, without their line ends.
fn lines(text: &[u8]) -> Vec<&[u8]> {
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    lines
        .map(|line| line.strip_suffix(b"\n").unwrap_or(line))
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .collect()
}

/// Finds lines through [`Scan`], in blocks of `block` whole lines.
fn found(grep: &Grep, text: &[u8], block: usize) -> Vec<usize> {
    let whole: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    let (mut scan, mut at, mut found) = (grep.scan(), 0, Vec::new());
    for (number, block_lines) in whole.chunks(block).enumerate() {
        let bytes = block_lines.concat();
        let mut line = number * block;
        let mut from = 0;
        while from < bytes.len() {
            let skipped = scan.skippable(&bytes[from..], (at + from) as u64);
            line += lines(&bytes[from..from + skipped]).len();
            from += skipped;
            let rest = &bytes[from..];
            let Some(end) = memchr::memchr(b'\n', rest) else {
                break;
            };
            if grep.matches(lines(&rest[..=end])[0]) {
                found.push(line);
            }
            from += end + 1;
            line += 1;
        }
        at += bytes.len();
    }
    found
}

/// Parts of expressions.
const PARTS: &[&str] = &[
    "a",
    "b",
    "ab",
    "é",
    "x?",
    "a*",
    "b+",
    "a{2}",
    "a{0,2}",
    "b+?",
    "[ab]",
    "[^a\\]]",
    "[]a]",
    "(a|b)",
    "(?:ab)+",
    "(?i)",
    "(?-i)",
    "(?m)",
    "(?R)",
    "(?s)",
    "(?s-m)",
    "(?i:A)",
    "(?i:É)",
    "(?P<n>b)",
    "|",
    "^",
    "$",
    "\\A",
    "\\z",
    ".",
    "..",
    ".*",
    "\\.",
    "\\d",
    "\\D",
    "\\w",
    "\\W",
    "\\s",
    "\\S",
    "\\b",
    "\\B",
    "\\b{start}",
    "\\b{end}",
    "\\b{start-half}",
    "\\b{end-half}",
    "\\<",
    "\\>",
    "\\x61",
    "\\u{62}",
    "\\u{fffd}",
    "\\n",
    "\\r",
    "\\r?",
    "[a-b[:alpha:]]",
    "[[:^digit:]]",
    "[^\\d]",
    "[\\Wa]",
    "[^\\s]",
    "A",
    "(?i:[^a])",
    "(?i:[a-b1])",
    "(?i:[\\w])",
    "\\(",
    "(a\\)|[)])?",
    "[é-ü]",
    "(?x: a b )",
];

/// Parts of texts, some of which are not UTF-8.
const TEXTS: &[&[u8]] = &[
    b"a",
    b"b",
    b"A",
    b"B",
    "é".as_bytes(),
    "É".as_bytes(),
    b".",
    b")",
    b"]",
    b"1",
    b"x",
    b"_",
    b" ",
    b"\t",
    b"\r",
    b"\r\n",
    b"\n",
    b"\n",
    b"\xff",
    b"\xe2\x82",
    "\u{fffd}".as_bytes(),
    "\u{661}".as_bytes(),
];

proptest! {
    #[test]
    fn no_line_that_matches_is_skipped(
        parts in prop::collection::vec(prop::sample::select(PARTS), 1..6),
        text in prop::collection::vec(prop::sample::select(TEXTS), 0..40),
        block in 1_usize..5,
    ) {
        // Some combinations are not an expression.
        if let Ok(grep) = Grep::new(&parts.concat()) {
            let text = [&text.concat()[..], b"\n"].concat();
            let expected: Vec<usize> = lines(&text)
                .into_iter()
                .enumerate()
                .filter(|(_, line)| grep.matches(line))
                .map(|(number, _)| number)
                .collect();
            prop_assert_eq!(found(&grep, &text, block), expected, "{}", parts.concat());
        }
    }
}

#[test]
fn lines_that_cannot_match_are_skipped() {
    let grep = Grep::new("rare|needle").unwrap();
    let text = b"one\ntwo\nthe needle\nfour\n";
    let mut scan = grep.scan();
    assert_eq!(scan.skippable(text, 0), 8);
    assert_eq!(scan.skippable(&text[19..], 19), 5);
    let any = Grep::new("o|[a-z]").unwrap();
    assert_eq!(any.scan().skippable(text, 0), 0);
}

#[test]
fn classes_and_cases_are_ascii_only() {
    for (expression, line, expected) in [
        (r"^\d$", "7", true),
        (r"^\d$", "\u{661}", false),
        (r"^\D$", "\u{661}", true),
        (r"^\w$", "é", false),
        (r"^[^\w]$", "é", true),
        (r"^\s$", "\u{a0}", false),
        (r"\bx", "éx", true),
        ("(?i)error", "ERROR", true),
        ("(?i)k", "\u{212a}", false),
        ("(?i)é", "É", false),
        ("(?i)[^a]", "A", false),
        ("^.$", "é", true),
    ] {
        let grep = Grep::new(expression).unwrap();
        assert_eq!(
            grep.matches(line.as_bytes()),
            expected,
            "{expression} {line}"
        );
    }
}

#[test]
fn what_is_not_supported_is_named() {
    for (expression, why) in [
        ("[", "unclosed"),
        (r"\p{L}", "Unicode"),
        ("[a&&b]", "operations"),
        ("(?=a)", "look-around"),
        ("(((a{1000}){1000}){1000})", "memory"),
    ] {
        let error = Grep::new(expression).unwrap_err();
        assert!(error.contains(why), "{expression}: {error}");
    }
}
