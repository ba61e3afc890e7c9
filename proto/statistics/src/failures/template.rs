//! Messages without what differs between trials that failed alike.

/// Bytes of a template that count. Messages are cut where they are long, each at another place once its ids are gone.
const MOST_BYTES: usize = 160;

/// Appends a message to `out`, without numbers (`N`), paths (`PATH`), addresses (`URL`) and ids (`ID`), on one line and cut.
pub(super) fn append_template(message: &str, out: &mut String) {
    let begin = out.len();
    let mut rest = message;
    let mut gap = false;
    while !rest.is_empty() && out.len() - begin < MOST_BYTES {
        let end = rest.find(|c| !is_part_of_token(c)).unwrap_or(rest.len());
        if end == 0 {
            let separator = rest.chars().next().expect("it is not empty");
            rest = &rest[separator.len_utf8()..];
            if separator.is_whitespace() {
                gap = out.len() > begin;
            } else {
                push_gap(out, &mut gap);
                out.push(separator);
            }
            continue;
        }
        push_gap(out, &mut gap);
        if rest[end..].starts_with("://") {
            let length = rest.find(ends_address).unwrap_or(rest.len());
            out.push_str("URL");
            rest = &rest[length..];
            continue;
        }
        // A full stop at the end is the sentence's.
        let token = rest[..end].trim_end_matches('.');
        push_token(token, out);
        out.push_str(&rest[token.len()..end]);
        rest = &rest[end..];
    }
    if out.len() - begin > MOST_BYTES {
        let end = out.floor_char_boundary(begin + MOST_BYTES);
        out.truncate(end);
    }
}

fn push_gap(out: &mut String, gap: &mut bool) {
    if std::mem::take(gap) {
        out.push(' ');
    }
}

fn is_part_of_token(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '~' | '@' | '%' | '+')
}

fn ends_address(c: char) -> bool {
    c.is_whitespace()
        || matches!(
            c,
            '"' | '\'' | '`' | '<' | '>' | '(' | ')' | '[' | ']' | ','
        )
}

fn push_token(token: &str, out: &mut String) {
    if is_path(token) {
        out.push_str("PATH");
    } else if is_id(token) {
        out.push_str("ID");
    } else {
        push_without_numbers(token, out);
    }
}

fn is_path(token: &str) -> bool {
    let is_rooted = ["/", "./", "../", "~/"]
        .iter()
        .any(|root| token.len() > root.len() && token.starts_with(root));
    is_rooted || token.bytes().filter(|byte| *byte == b'/').count() > 1
}

/// Whether a token is an id: hexadecimal digits, letters and digits that alternate, or the name of a Harbor trial, which
/// ends with two underscores and seven random characters. A word with one number, as `task-12`, is none.
fn is_id(token: &str) -> bool {
    let bytes = token.as_bytes();
    if bytes.len() < 8 {
        return false;
    }
    let (front, suffix) = bytes.split_at(bytes.len() - 7);
    if front.ends_with(b"__") && suffix.iter().all(u8::is_ascii_alphanumeric) {
        return true;
    }
    let (mut changes, mut has_digit, mut has_letter, mut is_hexadecimal) = (0, false, false, true);
    let mut before = None;
    for &byte in bytes {
        if matches!(byte, b'.' | b'/' | b'%') {
            return false;
        }
        let is_digit = byte.is_ascii_digit();
        let is_letter = byte.is_ascii_alphabetic();
        is_hexadecimal &= byte.is_ascii_hexdigit() || byte == b'-';
        (has_digit, has_letter) = (has_digit | is_digit, has_letter | is_letter);
        let kind = (is_digit || is_letter).then_some(is_digit);
        changes += u32::from(kind.is_some() && before.is_some() && kind != before);
        before = kind;
    }
    has_digit && has_letter && (is_hexadecimal || changes > 1)
}

fn push_without_numbers(token: &str, out: &mut String) {
    let mut in_number = false;
    let mut characters = token.chars().peekable();
    while let Some(c) = characters.next() {
        let goes_on = in_number && c == '.' && characters.peek().is_some_and(char::is_ascii_digit);
        if c.is_ascii_digit() || goes_on {
            if !in_number {
                out.push('N');
            }
            in_number = true;
        } else {
            in_number = false;
            out.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn template(message: &str) -> String {
        let mut out = String::new();
        append_template(message, &mut out);
        out
    }

    #[test]
    fn what_differs_between_trials_is_taken_out() {
        for (message, expected) in [
            (
                "Agent execution timed out after 3.0 seconds",
                "Agent execution timed out after N seconds",
            ),
            (
                "No reward file found at jobs/n/no-reward__DhaqUC7/verifier/reward.txt or /tmp/x.",
                "No reward file found at PATH or PATH.",
            ),
            (
                "trial alpha__GGGGGGG: exit 137\n\n  retry=2",
                "trial ID: exit N retry=N",
            ),
            (
                "GET https://a.b/c?d=1#e (9af30718-671f-49f6-aa56-42e2737e3dde) v1.2.3",
                "GET URL (ID) vN",
            ),
            ("request req_011CQabc99 failed", "request ID failed"),
            ("read/write of acme/m-1", "read/write of acme/m-N"),
            ("task-7 task-123 and x9f3ab21", "task-N task-N and ID"),
            ("ä 5 €", "ä N €"),
            ("", ""),
            ("   ", ""),
        ] {
            assert_eq!(template(message), expected, "{message}");
        }
    }

    #[test]
    fn long_messages_that_begin_alike_have_the_same_template() {
        let message = |id: &str| format!("trial {id} failed: {}", "because of that ".repeat(40));
        let cut = |text: String, at: usize| text[..at].to_owned();
        let a = template(&cut(message("task__AAAAAAA"), 400));
        let b = template(&cut(message("another-task__BBBBBBB"), 400));
        assert_eq!(a, b);
        assert!(a.len() <= MOST_BYTES);
    }

    proptest! {
        #[test]
        fn any_message_has_one_short_line(message in "\\PC{0,300}|[a-z0-9/:._é\n ]{0,300}") {
            let template = template(&message);
            prop_assert!(template.len() <= MOST_BYTES);
            prop_assert!(!template.contains('\n'));
            prop_assert!(!template.bytes().any(|byte| byte.is_ascii_digit()));
        }
    }
}
