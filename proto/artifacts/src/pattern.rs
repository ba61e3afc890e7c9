//! `*.json`, `fix-*/logs.*`: picks artifacts by name.

/// A glob: `*` and `?` within a name, `**` across names, `[a-z]` and `[!a-z]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    tokens: Vec<Token>,
    /// Whether it is about a whole path, not a name only.
    whole_path: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    One(char),
    AnyOne,
    AnyInName,
    AnyAtAll,
    OneOf(Vec<(char, char)>, bool),
}

impl Pattern {
    /// Reads a glob.
    ///
    /// # Errors
    ///
    /// When a bracket is not closed.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut chars = text.chars().peekable();
        let mut tokens = Vec::new();
        while let Some(c) = chars.next() {
            tokens.push(match c {
                '*' if chars.next_if_eq(&'*').is_some() => {
                    // `**/` also stands for no directory at all.
                    chars.next_if_eq(&'/');
                    Token::AnyAtAll
                }
                '*' => Token::AnyInName,
                '?' => Token::AnyOne,
                '\\' => Token::One(chars.next().unwrap_or('\\')),
                '[' => {
                    let inside: Option<String> = {
                        let mut inside = String::new();
                        let mut closed = false;
                        for c in chars.by_ref() {
                            if c == ']' && !matches!(inside.as_str(), "" | "!" | "^") {
                                closed = true;
                                break;
                            }
                            inside.push(c);
                        }
                        closed.then_some(inside)
                    };
                    one_of(&inside.ok_or_else(|| format!("`{text}`: `[` needs a `]`"))?)
                }
                c => Token::One(c),
            });
        }
        Ok(Self {
            whole_path: text.contains('/') || text.contains("**"),
            tokens,
        })
    }

    /// Tells whether it fits a path with `/` between names, or any of further names.
    #[must_use]
    pub fn fits(&self, path: &str, names: &[&str]) -> bool {
        let whole: Vec<char> = path.chars().collect();
        if self.whole_path {
            return fits(&self.tokens, &whole);
        }
        let last = path.rsplit('/').next().unwrap_or(path);
        std::iter::once(&last)
            .chain(names)
            .any(|name| fits(&self.tokens, &name.chars().collect::<Vec<_>>()))
    }
}

fn one_of(inside: &str) -> Token {
    let negated = inside.starts_with(['!', '^']);
    let set: Vec<char> = inside.chars().skip(usize::from(negated)).collect();
    let mut ranges = Vec::new();
    let mut at = 0;
    while at < set.len() {
        if at + 2 < set.len() && set[at + 1] == '-' {
            ranges.push((set[at], set[at + 2]));
            at += 3;
        } else {
            ranges.push((set[at], set[at]));
            at += 1;
        }
    }
    Token::OneOf(ranges, negated)
}

/// Matches with one way back per star, so that no pattern takes longer than text times pattern.
fn fits(tokens: &[Token], text: &[char]) -> bool {
    let (mut token, mut at) = (0, 0);
    // The last star within a name, and the last one across names.
    let mut backs: [Option<(usize, usize)>; 2] = [None, None];
    loop {
        match tokens.get(token) {
            Some(Token::AnyInName) => {
                backs[0] = Some((token + 1, at));
                token += 1;
                continue;
            }
            Some(Token::AnyAtAll) => {
                backs = [None, Some((token + 1, at))];
                token += 1;
                continue;
            }
            Some(one) if text.get(at).is_some_and(|&c| is(one, c)) => {
                token += 1;
                at += 1;
                continue;
            }
            None if at == text.len() => return true,
            _ => {}
        }
        // A star within a name cannot swallow a separator; one across names can.
        if let Some((after, from)) =
            backs[0].filter(|(_, from)| text.get(*from).is_some_and(|&c| c != '/'))
        {
            backs[0] = Some((after, from + 1));
            (token, at) = (after, from + 1);
        } else if let Some((after, from)) = backs[1].filter(|(_, from)| *from < text.len()) {
            backs = [None, Some((after, from + 1))];
            (token, at) = (after, from + 1);
        } else {
            return false;
        }
    }
}

fn is(token: &Token, c: char) -> bool {
    match token {
        Token::One(one) => *one == c,
        Token::AnyOne => c != '/',
        Token::OneOf(ranges, negated) => {
            c != '/'
                && ranges
                    .iter()
                    .any(|(first, last)| (*first..=*last).contains(&c))
                    != *negated
        }
        Token::AnyInName | Token::AnyAtAll => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_as_in_a_shell() {
        for (pattern, path, expected) in [
            ("*.json", "t_1/result.json", true),
            ("*.json", "t_1/logs.txt", false),
            ("fix-*/logs.*", "fix-clamp_1/logs.txt", true),
            ("fix-*/logs.*", "hello_1/logs.txt", false),
            ("*/logs.txt", "a/b/logs.txt", false),
            ("**/logs.txt", "a/b/logs.txt", true),
            ("**/logs.txt", "logs.txt", true),
            ("**", "a/b", true),
            ("log?.txt", "t/logs.txt", true),
            ("[a-m]*", "t/logs.txt", true),
            ("[!a-m]*", "t/logs.txt", false),
            ("[]x]", "t/]", true),
            ("\\*", "t/*", true),
            ("\\*", "t/a", false),
            ("*a*b*c", "t/xxaxxbxxc", true),
            ("*a*b*c", "t/xxaxxbxx", false),
            ("a*/b*c", "ax/bxxc", true),
            ("", "t/x", false),
        ] {
            let parsed = Pattern::parse(pattern).unwrap();
            assert_eq!(parsed.fits(path, &[]), expected, "{pattern} {path}");
        }
        assert!(Pattern::parse("[a").is_err());
        let by_source = Pattern::parse("test-stdout.txt").unwrap();
        assert!(by_source.fits("t/logs.txt", &["test-stdout.txt"]));
    }

    #[test]
    fn a_pattern_of_stars_takes_no_time() {
        let pattern = Pattern::parse(&"*a".repeat(50)).unwrap();
        assert!(!pattern.fits(&"a".repeat(49), &[]));
        assert!(!pattern.fits(&format!("{}b", "a".repeat(5_000)), &[]));
    }
}
