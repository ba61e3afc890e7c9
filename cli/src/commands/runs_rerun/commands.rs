//! Commands that people paste into a shell.

use std::borrow::Cow;
use std::path::Path;

use crate::args::{Global, RunsRerun};

/// Joins words to a command of a POSIX shell. Each stays one word, whatever is in it.
pub(super) fn joined<S: AsRef<str>>(words: impl IntoIterator<Item = S>) -> String {
    let words = words
        .into_iter()
        .map(|word| quoted(word.as_ref()).into_owned());
    words.collect::<Vec<_>>().join(" ")
}

/// Returns a command that runs in a directory, without changing that of the shell.
pub(super) fn in_directory(directory: Option<&str>, command: &str) -> String {
    match directory {
        Some(directory) => format!("(cd {} && {command})", quoted(directory)),
        None => command.to_owned(),
    }
}

fn quoted(word: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=@%+,".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        return word.into();
    }
    format!("'{}'", word.replace('\'', "'\\''")).into()
}

/// Returns the command that writes the configs of what was asked for.
pub(super) fn writing(global: &Global, args: &RunsRerun, file: &str) -> String {
    let mut words = vec!["docks".to_owned()];
    let mut option = |name: &str, value: String| words.extend([name.to_owned(), value]);
    for profile in &global.profile {
        option("--profile", profile.clone());
    }
    for dir in &global.harbor {
        option("--harbor", shown(dir));
    }
    for url in &global.harbor_server {
        option("--harbor-server", url.clone());
    }
    words.extend(["runs".to_owned(), "rerun".to_owned(), args.run_id.clone()]);
    let flags = [
        ("--failed", args.failed),
        ("--infra", args.infra),
        ("--lost", args.lost),
        ("--unclear", args.unclear),
    ];
    for (flag, _) in flags.iter().filter(|(_, given)| *given) {
        words.push((*flag).to_owned());
    }
    let lists = [
        ("--error", &args.error),
        ("--agent", &args.agents.agent),
        ("--model", &args.agents.model),
        ("--task", &args.task),
    ];
    for (name, values) in lists {
        for value in values {
            words.extend([name.to_owned(), value.clone()]);
        }
    }
    words.extend(["--config".to_owned(), file.to_owned()]);
    joined(words)
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_stays_one_word_of_a_shell() {
        let words = ["harbor", "a b", "", "it's", "$(x)", "a/b-c_d.e", "x\ny"];
        assert_eq!(
            joined(words),
            "harbor 'a b' '' 'it'\\''s' '$(x)' a/b-c_d.e 'x\ny'"
        );
        assert_eq!(in_directory(Some("/a b"), "x"), "(cd '/a b' && x)");
        assert_eq!(in_directory(None, "x"), "x");
    }
}
