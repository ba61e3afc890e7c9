//! `--pattern GLOB`: selects artifacts by name or path, such as `*.json` or `fix-*/logs.*`.

use glob::MatchOptions;

/// A name has no separators, and neither `*` nor `?` matches one.
const OPTIONS: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: false,
};

/// A glob: `*` and `?` within a name, `**` for any directories, `[a-z]` and `[!a-z]`; a backslash
/// takes the next character literally.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    glob: glob::Pattern,
    /// Whether it applies to a whole path and not only to a name.
    whole_path: bool,
}

impl Pattern {
    /// Parses a glob.
    ///
    /// # Errors
    ///
    /// When a bracket is not closed, or `**` is only a part of a name.
    pub fn parse(text: &str) -> Result<Self, String> {
        let glob =
            glob::Pattern::new(&without_backslashes(text)).map_err(|error| match error.msg {
                "invalid range pattern" => format!("`{text}`: `[` needs a `]`"),
                problem => format!("`{text}`: {problem}"),
            })?;
        Ok(Self {
            glob,
            whole_path: text.contains('/') || text.contains("**"),
        })
    }

    /// Returns whether it matches a path with `/` between names or, if it is about names, the last
    /// name of the path or one of `names`.
    #[must_use]
    pub fn matches(&self, path: &str, names: &[&str]) -> bool {
        if self.whole_path {
            return self.glob.matches_with(path, OPTIONS);
        }
        let last = path.rsplit('/').next().unwrap_or(path);
        std::iter::once(&last)
            .chain(names)
            .any(|name| self.glob.matches_with(name, OPTIONS))
    }
}

/// Writes `\\x` as `[x]` and `[^` as `[!`: the library knows only these forms.
fn without_backslashes(text: &str) -> String {
    let mut glob = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                glob.push('[');
                glob.push(chars.next().unwrap_or('\\'));
                glob.push(']');
            }
            '[' => {
                glob.push('[');
                if chars.next_if(|&c| c == '^' || c == '!').is_some() {
                    glob.push('!');
                }
                // A `]` in the first place is a literal; any other ends the bracket.
                glob.extend(chars.next());
                for c in chars.by_ref() {
                    glob.push(c);
                    if c == ']' {
                        break;
                    }
                }
            }
            c => glob.push(c),
        }
    }
    glob
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, path, expected) in [
            ("*.json", "t_1/result.json", true),
            ("*.json", "t_1/logs.txt", false),
            ("fix-*/logs.*", "fix-clamp_1/logs.txt", true),
            ("fix-*/logs.*", "hello_1/logs.txt", false),
            ("*/logs.txt", "a/b/logs.txt", false),
            ("**/logs.txt", "a/b/logs.txt", true),
            ("**/logs.txt", "logs.txt", true),
            ("**", "a/b", true),
            ("a/**", "a/b/c", true),
            ("log?.txt", "t/logs.txt", true),
            ("[a-m]*", "t/logs.txt", true),
            ("[!a-m]*", "t/logs.txt", false),
            ("[^a-m]*", "t/logs.txt", false),
            ("[]x]", "t/]", true),
            ("[{]x", "t/{x", true),
            ("\\*", "t/*", true),
            ("\\*", "t/a", false),
            ("*a*b*c", "t/xxaxxbxxc", true),
            ("*a*b*c", "t/xxaxxbxx", false),
            ("a*/b*c", "ax/bxxc", true),
            ("{a,b}", "t/a", false),
            ("{a,b}", "t/{a,b}", true),
            ("!a", "t/!a", true),
            ("!a", "t/b", false),
            ("é*", "t/ete", false),
            ("?té", "t/été", true),
            ("[à-ü]té", "t/été", true),
            ("é*", "t/éa", true),
            ("", "t/x", false),
        ] {
            let parsed = Pattern::parse(pattern).unwrap();
            assert_eq!(parsed.matches(path, &[]), expected, "{pattern} {path}");
        }
        for open in ["[a", "x[!]", "[]", "a\\[b[c"] {
            assert!(Pattern::parse(open).is_err(), "{open}");
        }
        let by_source = Pattern::parse("test-stdout.txt").unwrap();
        assert!(by_source.matches("t/logs.txt", &["test-stdout.txt"]));
    }

    #[test]
    fn a_pattern_with_many_stars_is_matched_quickly() {
        let pattern = Pattern::parse(&"*a".repeat(50)).unwrap();
        assert!(!pattern.matches(&"a".repeat(49), &[]));
        assert!(!pattern.matches(&format!("{}b", "a".repeat(5_000)), &[]));
    }
}
