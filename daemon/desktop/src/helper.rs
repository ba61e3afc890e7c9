//! The helper process that talks to the desktop session for the command line.

use std::io::{self, BufRead, Write};
use std::time::Duration;

use docks_proto::desktop::{DesktopRequest, DesktopResponse};
use docks_proto::settings::Environment;

use crate::{DesktopNotifier, system_keyring};

/// Serves the one request that `input` holds. Blocks, for a few seconds at most.
///
/// # Errors
///
/// When there is no request, or the response cannot be written.
pub fn serve(
    input: &mut impl BufRead,
    output: &mut impl Write,
    environment: &Environment,
    keyring_timeout: Duration,
) -> io::Result<()> {
    let mut line = String::new();
    input.read_line(&mut line)?;
    let response = respond(serde_json::from_str(&line)?, environment, keyring_timeout);
    let mut line = serde_json::to_vec(&response)?;
    line.push(b'\n');
    output.write_all(&line)?;
    output.flush()
}

fn respond(
    request: DesktopRequest,
    environment: &Environment,
    keyring_timeout: Duration,
) -> DesktopResponse {
    let keyring = system_keyring(environment, keyring_timeout);
    let answer = match request {
        DesktopRequest::GetSecret { user } => keyring
            .get(&user)
            .map(|secret| DesktopResponse::Secret { secret }),
        DesktopRequest::SetSecret { user, secret } => keyring
            .set(&user, &secret)
            .map(|()| DesktopResponse::Stored),
        DesktopRequest::DeleteSecret { user } => keyring
            .delete(&user)
            .map(|existed| DesktopResponse::Deleted { existed }),
        DesktopRequest::CheckNotifications => {
            return notified(DesktopNotifier::new(environment).check());
        }
        DesktopRequest::Notify { notice } => {
            return notified(DesktopNotifier::new(environment).show(notice));
        }
    };
    answer.unwrap_or_else(|error| DesktopResponse::KeyringFailed { error })
}

fn notified(result: Result<(), docks_proto::notification::NotifyError>) -> DesktopResponse {
    match result {
        Ok(()) => DesktopResponse::Shown,
        Err(error) => DesktopResponse::NotifyFailed { error },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(request: &str) -> io::Result<String> {
        let mut output = Vec::new();
        let environment = Environment::default();
        let timeout = Duration::from_secs(1);
        serve(&mut request.as_bytes(), &mut output, &environment, timeout)?;
        Ok(String::from_utf8(output).unwrap())
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn without_a_session_every_request_is_answered_with_the_reason() {
        for request in [
            r#"{"op":"get_secret","user":"token-x"}"#,
            r#"{"op":"set_secret","user":"token-x","secret":"s"}"#,
            r#"{"op":"delete_secret","user":"token-x"}"#,
            r#"{"op":"check_notifications"}"#,
            r#"{"op":"notify","notice":{"title":"t","text":""}}"#,
        ] {
            let answer = answer(request).unwrap();
            assert!(
                answer.contains("_failed") && answer.ends_with('\n'),
                "{answer}"
            );
        }
    }

    #[test]
    fn what_is_no_request_is_an_error() {
        for request in ["", "{}", r#"{"op":"other"}"#, "nonsense"] {
            assert!(answer(request).is_err(), "{request}");
        }
    }
}
