//! Keys from a program of the user: `credential_process` in Amazon's shared files.
//!
//! The program is named in a file of the user, never by a remote, and is started without a shell.
//! Its output is secret, so no error contains it.

use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use docks_proto::secret::SECRET_VARIABLES;
use docks_proto::time::UnixMs;
use object_store::aws::AwsCredential;
use object_store::client::CredentialProvider;
use serde::Deserialize;
use tokio::sync::Mutex;

/// Keys that expire sooner than this are renewed.
const MARGIN: Duration = Duration::from_secs(60);

/// Longest reason from standard error that is passed on, in characters.
const MAX_REASON_CHARS: usize = 200;

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
enum ProcessError {
    #[error("`credential_process` has an unclosed quote")]
    Quote,
    #[error("could not start `{program}`, the `credential_process`: {source}")]
    Start {
        program: String,
        source: std::io::Error,
    },
    #[error("`{program}`, the `credential_process`, failed: {reason}")]
    Failed { program: String, reason: String },
    #[error("`{program}`, the `credential_process`, printed no keys in version 1 of the format")]
    Output { program: String },
}

/// A program, and the keys that it printed last.
#[derive(Debug)]
pub(super) struct CredentialProcess {
    line: String,
    cached: Mutex<Option<CachedKeys>>,
}

#[derive(Debug)]
struct CachedKeys {
    keys: Arc<AwsCredential>,
    expires: Option<UnixMs>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ProcessOutput {
    version: u64,
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    expiration: Option<String>,
}

impl CredentialProcess {
    /// Takes the command line from the file; does not start the program.
    pub(super) fn new(line: String) -> Self {
        Self {
            line,
            cached: Mutex::new(None),
        }
    }
}

#[async_trait]
impl CredentialProvider for CredentialProcess {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        // Locked while the program runs, so that concurrent downloads run it once.
        let mut cached = self.cached.lock().await;
        if let Some(keys) = &*cached
            && keys
                .expires
                .is_none_or(|expires| UnixMs::now().plus(MARGIN) < expires)
        {
            return Ok(Arc::clone(&keys.keys));
        }
        let line = self.line.clone();
        let result = tokio::task::spawn_blocking(move || run_program(&line)).await;
        let result = result.map_err(|error| failed(error.into()))?;
        let new = result.map_err(|error| failed(error.into()))?;
        let keys = Arc::clone(&new.keys);
        *cached = Some(new);
        Ok(keys)
    }
}

fn failed(source: Box<dyn std::error::Error + Send + Sync>) -> object_store::Error {
    object_store::Error::Generic {
        store: "S3",
        source,
    }
}

fn run_program(line: &str) -> Result<CachedKeys, ProcessError> {
    let words = split_words(line).ok_or(ProcessError::Quote)?;
    let (program, arguments) = words.split_first().ok_or(ProcessError::Quote)?;
    let program = program.clone();
    let mut command = Command::new(&program);
    command.args(arguments).stdin(Stdio::null());
    for secret in SECRET_VARIABLES {
        command.env_remove(secret);
    }
    let output = command.output();
    match output {
        Ok(output) => parse_output(program, &output),
        Err(source) => Err(ProcessError::Start { program, source }),
    }
}

fn parse_output(program: String, output: &Output) -> Result<CachedKeys, ProcessError> {
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let last = stderr.lines().rfind(|line| !line.trim().is_empty());
        let reason = match last {
            Some(last) => last.trim().chars().take(MAX_REASON_CHARS).collect(),
            None => output.status.to_string(),
        };
        return Err(ProcessError::Failed { program, reason });
    }
    let printed: Result<ProcessOutput, _> = serde_json::from_slice(&output.stdout);
    let printed = printed.ok().filter(|printed| printed.version == 1);
    let Some(printed) = printed else {
        return Err(ProcessError::Output { program });
    };
    let expires = printed.expiration.as_deref();
    Ok(CachedKeys {
        // Keys with an invalid time count as expired, so the program runs every time.
        expires: expires.map(|text| UnixMs::parse(text).unwrap_or(UnixMs(0))),
        keys: Arc::new(AwsCredential {
            key_id: printed.access_key_id,
            secret_key: printed.secret_access_key,
            token: printed.session_token,
        }),
    })
}

/// Splits a command line as a shell does, with quotes and backslashes but nothing else.
fn split_words(line: &str) -> Option<Vec<String>> {
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
    fn a_command_line_is_split_at_spaces_outside_quotes() {
        for (line, expected) in [
            ("a  b\tc", Some(&["a", "b", "c"][..])),
            (r#""/a b/c" --x 'y "z'"#, Some(&["/a b/c", "--x", "y \"z"])),
            (r#"a\ b "c\"d" ''"#, Some(&["a b", "c\"d", ""])),
            ("a;b $(c) `d`", Some(&["a;b", "$(c)", "`d`"])),
            ("", Some(&[])),
            ("'a", None),
        ] {
            let expected = expected.map(|words| words.iter().map(|w| (*w).to_owned()).collect());
            assert_eq!(split_words(line), expected, "{line}");
        }
    }

    /// Returns a program that prints `text` and records each start in a file.
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
    async fn keys_are_requested_once_and_again_after_they_expire() {
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
    async fn errors_do_not_contain_the_output_of_the_program() {
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
                "an unclosed quote",
            ),
        ] {
            let error = process.get_credential().await.unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(text.contains(expected), "{text}");
            assert!(!text.contains("canary"), "{text}");
        }
    }
}
