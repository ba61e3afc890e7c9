//! Reads a regular expression into what the engine runs.
//!
//! Classes such as `\d` and the case of letters are ASCII only, and classes of Unicode properties
//! and operations on classes are not supported, as in `regex-lite`: the tables of Unicode would be
//! the largest part of `docks`. So only the engine's parser is used, not its translator.

use regex_syntax::ast::{
    Assertion, AssertionKind, Ast, ClassAsciiKind, ClassBracketed, ClassPerl, ClassPerlKind,
    ClassSet, ClassSetItem, Flag, Flags, FlagsItemKind, GroupKind, RepetitionKind, RepetitionRange,
    parse::Parser,
};
use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, Hir, Look, Repetition};

/// What an expression is searched in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Haystack {
    /// One line without its line end.
    Line,
    /// Whole lines. Each match is within one line, but a line end may be found before each
    /// carriage return.
    Lines,
}

/// An expression for the engine.
#[derive(Debug)]
pub(super) struct Translated {
    pub(super) hir: Hir,
    /// Whether a class contains U+FFFD, which stands in a line for bytes that are not UTF-8.
    pub(super) matches_replacement: bool,
}

/// Parses an expression.
///
/// # Errors
///
/// What is wrong with it, for users.
pub(super) fn parse(expression: &str) -> Result<Ast, String> {
    Parser::new()
        .parse(expression)
        .map_err(|error| error.to_string())
}

/// Translates a parsed expression for a kind of haystack.
///
/// # Errors
///
/// What is not supported, for users.
pub(super) fn translate(ast: &Ast, haystack: Haystack) -> Result<Translated, String> {
    let mut translator = Translator {
        haystack,
        modes: Modes::default(),
        matches_replacement: false,
    };
    Ok(Translated {
        hir: translator.translate(ast)?,
        matches_replacement: translator.matches_replacement,
    })
}

/// Flags that change what matches: `(?imsR)`.
#[derive(Clone, Copy, Default)]
struct Modes {
    ignore_case: bool,
    multi_line: bool,
    dot_matches_new_line: bool,
    crlf: bool,
}

impl Modes {
    fn set(&mut self, flags: &Flags) {
        let mut enable = true;
        for item in &flags.items {
            match item.kind {
                FlagsItemKind::Negation => enable = false,
                FlagsItemKind::Flag(Flag::CaseInsensitive) => self.ignore_case = enable,
                FlagsItemKind::Flag(Flag::MultiLine) => self.multi_line = enable,
                FlagsItemKind::Flag(Flag::DotMatchesNewLine) => self.dot_matches_new_line = enable,
                FlagsItemKind::Flag(Flag::CRLF) => self.crlf = enable,
                // The parser has applied `x`; the others do not decide whether something matches.
                FlagsItemKind::Flag(Flag::IgnoreWhitespace | Flag::SwapGreed | Flag::Unicode) => {}
            }
        }
    }
}

struct Translator {
    haystack: Haystack,
    modes: Modes,
    matches_replacement: bool,
}

impl Translator {
    fn translate(&mut self, ast: &Ast) -> Result<Hir, String> {
        Ok(match ast {
            Ast::Empty(_) => Hir::empty(),
            Ast::Flags(set) => {
                self.modes.set(&set.flags);
                Hir::empty()
            }
            Ast::Literal(literal) => {
                let class = self.fold(ranges([(literal.c, literal.c)]));
                self.class(class)
            }
            Ast::Dot(_) => {
                let mut excluded = String::new();
                if !self.modes.dot_matches_new_line {
                    excluded.push('\n');
                    excluded.extend(self.modes.crlf.then_some('\r'));
                }
                let mut class = ranges(excluded.chars().map(|c| (c, c)));
                class.negate();
                self.class(class)
            }
            Ast::Assertion(assertion) => self.assertion(assertion),
            Ast::ClassUnicode(_) => return Err(no_unicode_class()),
            Ast::ClassPerl(perl) => {
                let class = perl_class(perl);
                self.class(class)
            }
            Ast::ClassBracketed(bracketed) => {
                let class = self.bracketed(bracketed)?;
                self.class(class)
            }
            Ast::Repetition(repetition) => {
                let (min, max) = match repetition.op.kind {
                    RepetitionKind::ZeroOrOne => (0, Some(1)),
                    RepetitionKind::ZeroOrMore => (0, None),
                    RepetitionKind::OneOrMore => (1, None),
                    RepetitionKind::Range(RepetitionRange::Exactly(n)) => (n, Some(n)),
                    RepetitionKind::Range(RepetitionRange::AtLeast(n)) => (n, None),
                    RepetitionKind::Range(RepetitionRange::Bounded(m, n)) => (m, Some(n)),
                };
                Hir::repetition(Repetition {
                    min,
                    max,
                    greedy: repetition.greedy,
                    sub: Box::new(self.translate(&repetition.ast)?),
                })
            }
            Ast::Group(group) => {
                let outside = self.modes;
                if let GroupKind::NonCapturing(flags) = &group.kind {
                    self.modes.set(flags);
                }
                let inner = self.translate(&group.ast);
                self.modes = outside;
                inner?
            }
            Ast::Alternation(alternation) => Hir::alternation(self.all(&alternation.asts)?),
            Ast::Concat(concat) => Hir::concat(self.all(&concat.asts)?),
        })
    }

    fn all(&mut self, asts: &[Ast]) -> Result<Vec<Hir>, String> {
        asts.iter().map(|ast| self.translate(ast)).collect()
    }

    fn class(&mut self, mut class: ClassUnicode) -> Hir {
        if self.haystack == Haystack::Lines {
            class.difference(&ranges([('\n', '\n')]));
        }
        self.matches_replacement |= class
            .ranges()
            .iter()
            .any(|range| (range.start()..=range.end()).contains(&char::REPLACEMENT_CHARACTER));
        Hir::class(Class::Unicode(class))
    }

    fn assertion(&self, assertion: &Assertion) -> Hir {
        let modes = self.modes;
        let look = match assertion.kind {
            AssertionKind::StartLine if modes.multi_line && modes.crlf => Look::StartCRLF,
            AssertionKind::StartLine if modes.multi_line => Look::StartLF,
            AssertionKind::EndLine if modes.multi_line && modes.crlf => Look::EndCRLF,
            AssertionKind::EndLine if modes.multi_line => Look::EndLF,
            AssertionKind::StartLine | AssertionKind::StartText => Look::Start,
            AssertionKind::EndLine | AssertionKind::EndText => Look::End,
            AssertionKind::WordBoundary => Look::WordAscii,
            AssertionKind::NotWordBoundary => Look::WordAsciiNegate,
            AssertionKind::WordBoundaryStart | AssertionKind::WordBoundaryStartAngle => {
                Look::WordStartAscii
            }
            AssertionKind::WordBoundaryEnd | AssertionKind::WordBoundaryEndAngle => {
                Look::WordEndAscii
            }
            AssertionKind::WordBoundaryStartHalf => Look::WordStartHalfAscii,
            AssertionKind::WordBoundaryEndHalf => Look::WordEndHalfAscii,
        };
        Hir::look(match (self.haystack, look) {
            (Haystack::Lines, Look::Start) => Look::StartLF,
            // A carriage return before the line end is not part of the line.
            (Haystack::Lines, Look::End | Look::EndLF) => Look::EndCRLF,
            (_, look) => look,
        })
    }

    fn bracketed(&self, bracketed: &ClassBracketed) -> Result<ClassUnicode, String> {
        let ClassSet::Item(item) = &bracketed.kind else {
            return Err("operations on classes, such as `[a-z&&x]`, are not supported".to_owned());
        };
        let mut class = self.item(item)?;
        if bracketed.negated {
            class.negate();
        }
        Ok(class)
    }

    fn item(&self, item: &ClassSetItem) -> Result<ClassUnicode, String> {
        let class = match item {
            ClassSetItem::Empty(_) => ClassUnicode::empty(),
            ClassSetItem::Literal(literal) => ranges([(literal.c, literal.c)]),
            ClassSetItem::Range(range) => ranges([(range.start.c, range.end.c)]),
            ClassSetItem::Ascii(ascii) => {
                let mut class = ascii_class(&ascii.kind);
                if ascii.negated {
                    class.negate();
                }
                class
            }
            ClassSetItem::Unicode(_) => return Err(no_unicode_class()),
            ClassSetItem::Perl(perl) => perl_class(perl),
            ClassSetItem::Bracketed(bracketed) => self.bracketed(bracketed)?,
            ClassSetItem::Union(union) => {
                let mut class = ClassUnicode::empty();
                for item in &union.items {
                    class.union(&self.item(item)?);
                }
                class
            }
        };
        Ok(self.fold(class))
    }

    /// Adds the other case of ASCII letters where case is ignored.
    fn fold(&self, mut class: ClassUnicode) -> ClassUnicode {
        if self.modes.ignore_case {
            for (from, to) in [('a', 'z'), ('A', 'Z')] {
                let mut letters = class.clone();
                letters.intersect(&ranges([(from, to)]));
                let other = |c: char| char::from(c as u8 ^ b' ');
                let others = letters.ranges().iter();
                class.union(&ranges(others.map(|r| (other(r.start()), other(r.end())))));
            }
        }
        class
    }
}

fn ranges(pairs: impl IntoIterator<Item = (char, char)>) -> ClassUnicode {
    let range = |(from, to)| ClassUnicodeRange::new(from, to);
    ClassUnicode::new(pairs.into_iter().map(range))
}

fn no_unicode_class() -> String {
    r"classes of Unicode properties, such as `\p{L}`, are not supported".to_owned()
}

fn perl_class(perl: &ClassPerl) -> ClassUnicode {
    let mut class = ascii_class(match perl.kind {
        ClassPerlKind::Digit => &ClassAsciiKind::Digit,
        ClassPerlKind::Space => &ClassAsciiKind::Space,
        ClassPerlKind::Word => &ClassAsciiKind::Word,
    });
    if perl.negated {
        class.negate();
    }
    class
}

fn ascii_class(kind: &ClassAsciiKind) -> ClassUnicode {
    let pairs: &[(char, char)] = match kind {
        ClassAsciiKind::Alnum => &[('0', '9'), ('A', 'Z'), ('a', 'z')],
        ClassAsciiKind::Alpha => &[('A', 'Z'), ('a', 'z')],
        ClassAsciiKind::Ascii => &[('\0', '\x7f')],
        ClassAsciiKind::Blank => &[('\t', '\t'), (' ', ' ')],
        ClassAsciiKind::Cntrl => &[('\0', '\x1f'), ('\x7f', '\x7f')],
        ClassAsciiKind::Digit => &[('0', '9')],
        ClassAsciiKind::Graph => &[('!', '~')],
        ClassAsciiKind::Lower => &[('a', 'z')],
        ClassAsciiKind::Print => &[(' ', '~')],
        ClassAsciiKind::Punct => &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')],
        ClassAsciiKind::Space => &[('\t', '\r'), (' ', ' ')],
        ClassAsciiKind::Upper => &[('A', 'Z')],
        ClassAsciiKind::Word => &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')],
        ClassAsciiKind::Xdigit => &[('0', '9'), ('A', 'F'), ('a', 'f')],
    };
    ranges(pairs.iter().copied())
}
