//! Texts that are in everything that an expression fits.

use memchr::memmem::Finder;

/// Letters from frequent to rare in English and in logs.
const BY_FREQUENCY: &[u8] = b"etaoinsrhldcumfpgwybvkxjqz";

/// More of them are slower to look for than the expression.
const MOST: usize = 8;

/// A text to look for.
#[derive(Debug, Clone)]
pub(super) enum Needle {
    /// As it is.
    Exact(Box<Finder<'static>>),
    /// Whatever the case of its ASCII letters; the engine knows no other letters' cases.
    Folded {
        /// In lower case.
        text: Vec<u8>,
        /// Its rarest byte, which is looked for first.
        rarest: usize,
    },
}

impl Needle {
    fn new(text: &str, folded: bool) -> Self {
        if !folded {
            return Self::Exact(Box::new(Finder::new(text).into_owned()));
        }
        let text = text.to_ascii_lowercase().into_bytes();
        let rank = |byte: &u8| {
            let known = BY_FREQUENCY.iter().position(|known| known == byte);
            known.unwrap_or(usize::from(*byte != b' ') * BY_FREQUENCY.len())
        };
        let rarest = (0..text.len()).max_by_key(|at| rank(&text[*at]));
        Self::Folded {
            rarest: rarest.unwrap_or(0),
            text,
        }
    }

    /// Finds where it begins first.
    pub(super) fn find(&self, bytes: &[u8]) -> Option<usize> {
        match self {
            Self::Exact(finder) => finder.find(bytes),
            Self::Folded { text, rarest } => {
                let (low, high) = (text[*rarest], text[*rarest].to_ascii_uppercase());
                memchr::memchr2_iter(low, high, bytes)
                    .filter_map(|at| at.checked_sub(*rarest))
                    .find(|start| {
                        let there = bytes.get(*start..*start + text.len());
                        there.is_some_and(|there| there.eq_ignore_ascii_case(text))
                    })
            }
        }
    }
}

/// Returns texts of which everything that fits holds at least one; none when that is not known.
///
/// The expression must be one that the engine takes. What is not understood here only costs time.
pub(super) fn of(expression: &str) -> Vec<Needle> {
    let (rest, folded) = match expression.strip_prefix("(?i)") {
        Some(rest) => (rest, true),
        None => (expression, false),
    };
    let texts = texts(rest).unwrap_or_default();
    let fit = !texts.is_empty() && texts.len() <= MOST;
    // What is not UTF-8 in a line becomes this character for the engine.
    let fit = fit && texts.iter().all(|text| !text.contains('\u{fffd}'));
    let needles = texts.iter().map(|text| Needle::new(text, folded));
    if fit { needles.collect() } else { Vec::new() }
}

/// Returns the longest text of each alternative; `None` where one has none.
fn texts(expression: &str) -> Option<Vec<String>> {
    let mut found = Vec::new();
    let (mut best, mut run) = (String::new(), String::new());
    let mut rest = expression.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '|' => {
                longer(&mut best, &mut run);
                if best.is_empty() {
                    return None;
                }
                found.push(std::mem::take(&mut best));
            }
            '\\' => match rest.next()? {
                c if c.is_ascii_punctuation() && !"<>".contains(c) => run.push(c),
                // Classes and edges; what may be longer than a character is not understood.
                'd' | 'D' | 'w' | 'W' | 's' | 'S' | 'A' | 'z' | 'n' | 't' | 'r' => {
                    longer(&mut best, &mut run);
                }
                'b' | 'B' if rest.peek() != Some(&'{') => longer(&mut best, &mut run),
                _ => return None,
            },
            '.' | '^' | '$' => longer(&mut best, &mut run),
            '[' => {
                longer(&mut best, &mut run);
                skip_class(&mut rest)?;
            }
            '(' => {
                longer(&mut best, &mut run);
                skip_group(&mut rest)?;
            }
            '*' | '?' | '{' => {
                // The character before it may be missing.
                run.pop();
                longer(&mut best, &mut run);
                if c == '{' {
                    rest.by_ref().find(|c| *c == '}')?;
                }
            }
            '+' => longer(&mut best, &mut run),
            c => run.push(c),
        }
    }
    longer(&mut best, &mut run);
    found.push(best);
    found.iter().all(|text| !text.is_empty()).then_some(found)
}

fn longer(best: &mut String, run: &mut String) {
    if run.len() > best.len() {
        std::mem::swap(best, run);
    }
    run.clear();
}

type Rest<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// Skips a class whose `[` is read; one with a class in it is not understood.
fn skip_class(rest: &mut Rest<'_>) -> Option<()> {
    rest.next_if_eq(&'^');
    // At the beginning it is a member.
    rest.next_if_eq(&']');
    loop {
        match rest.next()? {
            ']' => return Some(()),
            '[' => return None,
            '\\' => drop(rest.next()?),
            _ => {}
        }
    }
}

/// Skips a group whose `(` is read; flags for what comes after it are not understood.
fn skip_group(rest: &mut Rest<'_>) -> Option<()> {
    if rest.next_if_eq(&'?').is_some() && !matches!(rest.next()?, ':' | 'P' | '<') {
        return None;
    }
    loop {
        match rest.next()? {
            '(' => skip_group(rest)?,
            ')' => return Some(()),
            '[' => skip_class(rest)?,
            '\\' => drop(rest.next()?),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_alternative_gives_its_longest_text() {
        for (expression, expected) in [
            ("needle", Some(&["needle"][..])),
            ("error|warn(ing)?", Some(&["error", "warn"])),
            (r"a\.b: \d+ms", Some(&["a.b: "])),
            ("colou?r", Some(&["colo"])),
            ("ab{2}cd+e", Some(&["cd"])),
            ("(?:x|y)rest[0-9]$", Some(&["rest"])),
            ("[]x]tail", Some(&["tail"])),
            ("a|[0-9]", None),
            (r"\d+", None),
            (r"\x41bc", None),
            (r"\b{start}x", None),
            ("x(?i)y", None),
            ("[[:alpha:]]x", None),
            ("", None),
        ] {
            let expected = expected.map(|all| all.iter().map(|text| (*text).to_owned()).collect());
            assert_eq!(texts(expression), expected, "{expression}");
        }
    }

    #[test]
    fn case_is_ignored_where_the_expression_ignores_it() {
        let [needle] = &of("(?i)ErrOr: É")[..] else {
            panic!("one text");
        };
        assert_eq!(needle.find("an eRROR: É".as_bytes()), Some(3));
        assert_eq!(needle.find("an eRROR: é".as_bytes()), None);
        assert!(of("(?i)a|(?i)b").is_empty());
    }
}
