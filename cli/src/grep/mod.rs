//! Searches lines for a regular expression: `docks runs logs --grep`.
//!
//! Lines are searched one by one, but first many at once, to skip those that cannot match: the
//! engine finds the next line that may match at the speed of memory.

mod syntax;

use regex_automata::Input;
use regex_automata::meta::{Config, Regex};
use regex_syntax::hir::Hir;

use syntax::Haystack;

/// Largest automaton that is built for an expression.
const AUTOMATON_BYTES: usize = 10 << 20;

/// A regular expression.
#[derive(Debug, Clone)]
pub(crate) struct Grep {
    /// Decides about one line.
    line: Regex,
    /// Finds a line in valid UTF-8 that `line` may match, and never skips one.
    lines: Regex,
    /// Whether lines that are not valid UTF-8 may match though `lines` finds nothing in them.
    matches_replacement: bool,
}

impl Grep {
    /// Reads an expression.
    ///
    /// # Errors
    ///
    /// What is wrong with it, for users.
    pub(crate) fn new(expression: &str) -> Result<Self, String> {
        let ast = syntax::parse(expression)?;
        let line = syntax::translate(&ast, Haystack::Line)?;
        let lines = syntax::translate(&ast, Haystack::Lines)?;
        Ok(Self {
            line: build(&line.hir)?,
            lines: build(&lines.hir)?,
            matches_replacement: line.matches_replacement,
        })
    }

    /// Whether the expression matches anywhere in a line, which comes without its line end.
    ///
    /// Bytes that are not valid UTF-8 count as U+FFFD.
    pub(crate) fn matches(&self, line: &[u8]) -> bool {
        let text = String::from_utf8_lossy(line);
        self.line.is_match(text.as_bytes())
    }

    /// Starts to search one text, from its beginning to its end.
    pub(crate) fn scan(&self) -> Scan<'_> {
        Scan {
            grep: self,
            searched_to: 0,
        }
    }
}

fn build(hir: &Hir) -> Result<Regex, String> {
    let config = Config::new().nfa_size_limit(Some(AUTOMATON_BYTES));
    let mut builder = Regex::builder();
    let built = builder.configure(config).build_from_hir(hir);
    built.map_err(|error| match error.size_limit() {
        Some(_) => "it needs too much memory".to_owned(),
        None => error.to_string(),
    })
}

/// Finds the lines of a text that may match.
#[derive(Debug)]
pub(crate) struct Scan<'a> {
    grep: &'a Grep,
    /// Place in the text, a line start, before which no line in valid UTF-8 matches. Nothing is
    /// searched twice: many invalid lines before it would make that slow.
    searched_to: u64,
}

impl Scan<'_> {
    /// Returns how many of these bytes can be skipped, since no line in them matches.
    ///
    /// `lines` are whole lines that begin at `at_bytes` of the text; so does what is left of them.
    pub(crate) fn skippable(&mut self, lines: &[u8], at_bytes: u64) -> usize {
        if self.searched_to <= at_bytes {
            self.searched_to = at_bytes + self.next_candidate(lines) as u64;
        }
        let skippable = usize::try_from(self.searched_to - at_bytes).unwrap_or(usize::MAX);
        let skippable = skippable.min(lines.len());
        if !self.grep.matches_replacement {
            return skippable;
        }
        match std::str::from_utf8(lines.get(..skippable).unwrap_or(lines)) {
            Ok(_) => skippable,
            Err(error) => line_start(lines, error.valid_up_to()),
        }
    }

    /// Returns where the first line begins that may match, or the length of `lines`.
    fn next_candidate(&self, lines: &[u8]) -> usize {
        // Behind the last line end another line would begin, an empty one.
        let haystack = lines.strip_suffix(b"\n").unwrap_or(lines);
        let input = Input::new(haystack).earliest(true);
        let found = self.grep.lines.search_half(&input);
        found.map_or(lines.len(), |found| line_start(lines, found.offset()))
    }
}

fn line_start(lines: &[u8], offset: usize) -> usize {
    let before = lines.get(..offset).unwrap_or(lines);
    memchr::memrchr(b'\n', before).map_or(0, |end| end + 1)
}

#[cfg(test)]
mod tests;
