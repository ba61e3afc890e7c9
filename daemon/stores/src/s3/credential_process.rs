//! Keys that a program of the user's own gives: `credential_process` of Amazon's shared files.
//!
//! The program comes from a file that only the user writes, never from a
//! remote, and is started without a shell. What it prints is secret, so no
//! error holds it.

use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use docks_proto::time::UnixMs;
use object_store::aws::AwsCredential;
use object_store::client::CredentialProvider;
use serde::Deserialize;
use tokio::sync::Mutex;

/// Keys that are good for less than this are asked for anew.
const MARGIN: Duration = Duration::from_secs(60);

/// Most of what a program says on its standard error that is passed on.
const MOST_OF_A_REASON: usize = 200;

/// Says why there are no keys.
#[derive(Debug, thiserror::Error)]
enum ProcessError {
    #[error("`credential_process` has a quote without its end")]
    Quote,
    #[error("could not start `{program}`, the `credential_process`: {source}")]
    Start {
        program: String,
        source: std::io::Error,
    },
    #[error("`{program}`, the `credential_process`, failed: {reason}")]
    Failed { program: String, reason: String },
    #[error("`{program}`, the `credential_process`, printed no keys in its first version")]
    Answer { program: String },
}

/// A program, and the keys that it gave last.
#[derive(Debug)]
pub(super) struct CredentialProcess {
    line: String,
    kept: Mutex<Option<Kept>>,
}

#[derive(Debug)]
struct Kept {
    keys: Arc<AwsCredential>,
    until: Option<UnixMs>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    version: u64,
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    expiration: Option<String>,
}

impl CredentialProcess {
    /// Takes the line of the file; starts nothing yet.
    pub(super) fn new(line: String) -> Self {
        Self {
            line,
            kept: Mutex::new(None),
        }
    }
}

#[async_trait]
impl CredentialProvider for CredentialProcess {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        // Held while it runs: many downloads at once ask it once.
        let mut kept = self.kept.lock().await;
        if let Some(kept) = &*kept
            && kept
                .until
                .is_none_or(|until| UnixMs::now().plus(MARGIN) < until)
        {
            return Ok(Arc::clone(&kept.keys));
        }
        let line = self.line.clone();
        let asked = tokio::task::spawn_blocking(move || ask(&line)).await;
        let asked = asked.map_err(|error| failed(error.into()))?;
        let new = asked.map_err(|error| failed(error.into()))?;
        let keys = Arc::clone(&new.keys);
        *kept = Some(new);
        Ok(keys)
    }
}

fn failed(source: Box<dyn std::error::Error + Send + Sync>) -> object_store::Error {
    object_store::Error::Generic {
        store: "S3",
        source,
    }
}

fn ask(line: &str) -> Result<Kept, ProcessError> {
    let words = words(line).ok_or(ProcessError::Quote)?;
    let (program, arguments) = words.split_first().ok_or(ProcessError::Quote)?;
    let program = program.clone();
    let output = Command::new(&program)
        .args(arguments)
        // Ours is none of its business.
        .env_remove("DOCKS_TOKEN")
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) => read(program, &output),
        Err(source) => Err(ProcessError::Start { program, source }),
    }
}

fn read(program: String, output: &Output) -> Result<Kept, ProcessError> {
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().rfind(|line| !line.trim().is_empty());
        let reason = match last {
            Some(last) => last.trim().chars().take(MOST_OF_A_REASON).collect(),
            None => output.status.to_string(),
        };
        return Err(ProcessError::Failed { program, reason });
    }
    let answer: Result<Answer, _> = serde_json::from_slice(&output.stdout);
    let answer = answer.ok().filter(|answer| answer.version == 1);
    let Some(answer) = answer else {
        return Err(ProcessError::Answer { program });
    };
    let until = answer.expiration.as_deref();
    Ok(Kept {
        // A time that cannot be read is as if they had ended: they are asked for each time.
        until: until.map(|text| UnixMs::parse(text).unwrap_or(UnixMs(0))),
        keys: Arc::new(AwsCredential {
            key_id: answer.access_key_id,
            secret_key: answer.secret_access_key,
            token: answer.session_token,
        }),
    })
}

/// Takes a line apart as a shell does with quotes, and with nothing else.
fn words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let (mut word, mut quote) = (None::<String>, None);
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        match (quote, c) {
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (Some(open), c) if c == open => quote = None,
            (None | Some('"'), '\\') => word.get_or_insert_default().push(rest.next()?),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_apart_at_spaces_outside_quotes() {
        for (line, expected) in [
            ("a  b\tc", Some(&["a", "b", "c"][..])),
            (r#""/a b/c" --x 'y "z'"#, Some(&["/a b/c", "--x", "y \"z"])),
            (r#"a\ b "c\"d" ''"#, Some(&["a b", "c\"d", ""])),
            ("a;b $(c) `d`", Some(&["a;b", "$(c)", "`d`"])),
            ("", Some(&[])),
            ("'a", None),
        ] {
            let expected = expected.map(|words| words.iter().map(|w| (*w).to_owned()).collect());
            assert_eq!(words(line), expected, "{line}");
        }
    }

    /// A program that prints `text` and notes each start in a file.
    fn program(folder: &std::path::Path, text: &str) -> CredentialProcess {
        let starts = folder.join("starts");
        let script = format!("echo x >>{}; printf %s '{text}'", starts.display());
        CredentialProcess::new(format!("sh -c \"{}\"", script.replace('"', "\\\"")))
    }

    fn starts(folder: &std::path::Path) -> usize {
        let text = std::fs::read_to_string(folder.join("starts"));
        text.unwrap_or_default().lines().count()
    }

    #[tokio::test]
    async fn keys_are_asked_for_once_and_again_when_they_end() {
        for (expiration, expected) in [
            ("", 1),
            (r#","Expiration":"2999-01-01T00:00:00Z""#, 1),
            (r#","Expiration":"2020-01-01T00:00:00Z""#, 2),
            (r#","Expiration":"soon""#, 2),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let text = format!(
                r#"{{"Version":1,"AccessKeyId":"id","SecretAccessKey":"s3cret","SessionToken":"t"{expiration}}}"#
            );
            let process = program(folder.path(), &text);
            for _ in 0..2 {
                let keys = process.get_credential().await.unwrap();
                assert_eq!(
                    (keys.key_id.as_str(), keys.secret_key.as_str()),
                    ("id", "s3cret")
                );
                assert_eq!(keys.token.as_deref(), Some("t"));
            }
            assert_eq!(starts(folder.path()), expected, "{expiration}");
            assert!(!format!("{process:?}").contains("s3cret\","), "{process:?}");
        }
    }

    #[tokio::test]
    async fn what_goes_wrong_is_said_without_what_was_printed() {
        let folder = tempfile::tempdir().unwrap();
        for (process, expected) in [
            (
                program(folder.path(), r#"{"Version":2,"AccessKeyId":"canary"}"#),
                "printed no keys",
            ),
            (program(folder.path(), "canary"), "printed no keys"),
            (
                CredentialProcess::new("/nonexistent/program".to_owned()),
                "could not start",
            ),
            (
                CredentialProcess::new(
                    "sh -c 'echo canary; echo sign in first >&2; exit 3'".to_owned(),
                ),
                "sign in first",
            ),
            (
                CredentialProcess::new("sh -c 'exit 3".to_owned()),
                "a quote without",
            ),
        ] {
            let error = process.get_credential().await.unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(text.contains(expected), "{text}");
            assert!(!text.contains("canary"), "{text}");
        }
    }
}
