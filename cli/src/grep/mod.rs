//! Lines in which a regular expression is found, most of which it never has to look at.
//!
//! The engine is small and slow. Most expressions hold a text that is in
//! everything they fit, and looking for a text is fast; so only lines that
//! hold one are given to the engine. An expression without such a text is
//! tried on every line.

mod needles;

use regex_lite::Regex;

use needles::Needle;

/// A regular expression, and texts of which every line that fits holds one.
#[derive(Debug, Clone)]
pub(crate) struct Grep {
    regex: Regex,
    /// Empty when nothing is known.
    needles: Vec<Needle>,
}

impl Grep {
    /// Reads an expression.
    pub(crate) fn new(expression: &str) -> Result<Self, regex_lite::Error> {
        Ok(Self {
            regex: Regex::new(expression)?,
            needles: needles::of(expression),
        })
    }

    /// Tells whether it is found in a line.
    pub(crate) fn fits(&self, line: &[u8]) -> bool {
        self.regex.is_match(&String::from_utf8_lossy(line))
    }

    /// Starts to look through one text, from its beginning to its end.
    pub(crate) fn scan(&self) -> Scan<'_> {
        let ahead = self.needles.iter().map(|needle| (needle, 0));
        Scan {
            ahead: ahead.collect(),
        }
    }
}

/// Where in a text the lines are that may fit.
#[derive(Debug)]
pub(crate) struct Scan<'a> {
    /// Each needle with the place before which it is known not to begin. It is not looked for
    /// twice in the same bytes: a rare needle beside a frequent one would cost the whole block
    /// for each line.
    ahead: Vec<(&'a Needle, u64)>,
}

impl Scan<'_> {
    /// Tells how many of these bytes need no look, where they lie at `at_bytes` of the text.
    ///
    /// They must be whole lines; what is to be looked at begins with a line.
    pub(crate) fn passes(&mut self, lines: &[u8], at_bytes: u64) -> usize {
        if self.ahead.is_empty() {
            return 0;
        }
        let mut first = lines.len();
        for (needle, ahead) in &mut self.ahead {
            let from = usize::try_from(ahead.saturating_sub(at_bytes)).unwrap_or(usize::MAX);
            if from < first {
                let found = needle.find(&lines[from..first]).map(|at| from + at);
                *ahead = at_bytes + found.unwrap_or(first) as u64;
                first = found.unwrap_or(first);
            }
        }
        if first == lines.len() {
            return first;
        }
        memchr::memrchr(b'\n', &lines[..first]).map_or(0, |end| end + 1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Finds lines through [`Scan`], in blocks of `block` whole lines.
    fn found(grep: &Grep, text: &str, block: usize) -> Vec<usize> {
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let (mut scan, mut at, mut found) = (grep.scan(), 0, Vec::new());
        for (number, block_lines) in lines.chunks(block).enumerate() {
            let bytes = block_lines.concat();
            let mut line = number * block;
            let mut from = 0;
            while from < bytes.len() {
                let passed = scan.passes(&bytes.as_bytes()[from..], (at + from) as u64);
                line += bytes[from..from + passed].matches('\n').count();
                from += passed;
                let Some(end) = bytes[from..].find('\n') else {
                    break;
                };
                if grep.fits(&bytes.as_bytes()[from..from + end]) {
                    found.push(line);
                }
                from += end + 1;
                line += 1;
            }
            at += bytes.len();
        }
        found
    }

    const PIECES: &[&str] = &[
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
        "(?i:A)",
        "(?P<n>b)",
        "|",
        "^",
        "$",
        ".",
        "\\.",
        "\\d",
        "\\b",
        "\\x61",
        "\\u{62}",
        "\\n",
        "[a-b[:alpha:]]",
        "A",
        "\\(",
        "(a\\)|[)])?",
    ];

    proptest! {
        #[test]
        fn what_is_passed_over_never_fits(
            pieces in prop::collection::vec(prop::sample::select(PIECES), 1..6),
            text in "([abABé.)\\]1x ]{0,6}\n){0,12}",
            block in 1_usize..5,
        ) {
            // Some mixtures are no expression.
            if let Ok(grep) = Grep::new(&pieces.concat()) {
                let lines = text.lines().enumerate();
                let wanted: Vec<usize> = lines
                    .filter(|(_, line)| grep.fits(line.as_bytes()))
                    .map(|(number, _)| number)
                    .collect();
                prop_assert_eq!(found(&grep, &text, block), wanted, "{:?}", grep);
            }
        }
    }

    #[test]
    fn lines_without_a_needle_are_passed_over() {
        let grep = Grep::new("rare|needle").unwrap();
        let text = b"one\ntwo\nthe needle\nfour\n";
        let mut scan = grep.scan();
        assert_eq!(scan.passes(text, 0), 8);
        assert_eq!(scan.passes(&text[19..], 19), 5);
        let any = Grep::new("o|[a-z]").unwrap();
        assert_eq!(any.scan().passes(text, 0), 0);
    }
}
