//! Errors of the client as failures with exit codes and hints.

use docks_proto::client::{ClientError, SendError};
use docks_proto::error::RemoteErrorBody;

use super::{Failure, Kind, default_hint};

/// Who a request was sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answerer {
    /// The daemon.
    Daemon,
    /// The remote itself.
    Remote,
}

impl Answerer {
    /// Returns its name for `--debug`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Answerer::Daemon => "docksd",
            Answerer::Remote => "remote",
        }
    }
}

impl Failure {
    /// Explains why `answerer` gave no answer.
    pub(crate) fn from_client_error(error: &ClientError, answerer: Answerer) -> Self {
        match error {
            ClientError::Send(error) => send_failure(error, answerer),
            ClientError::Refused {
                status,
                body,
                retry_after,
            } => {
                let failure = refusal_failure(*status, body);
                match retry_after {
                    Some(wait) if body.detail.is_none() => {
                        failure.hint(format!("try again in {} s", wait.as_secs().max(1)))
                    }
                    _ => failure,
                }
            }
            ClientError::Protocol { .. } | ClientError::OtherBuild => {
                Failure::failed(error.to_string()).hint("`docks daemon restart` replaces it")
            }
            ClientError::InvalidReply(_) => {
                let who = match answerer {
                    Answerer::Daemon => "the daemon",
                    Answerer::Remote => "the remote",
                };
                Failure::new(Kind::Unreachable, format!("{who}: {error}"))
                    .hint("check the address with `docks config explain`")
            }
        }
    }
}

fn send_failure(error: &SendError, answerer: Answerer) -> Failure {
    let kind = match error {
        SendError::InvalidRequest(_) => Kind::Usage,
        _ => Kind::Unreachable,
    };
    let doing = match answerer {
        Answerer::Daemon => "no answer from the daemon",
        Answerer::Remote => "no answer from the remote",
    };
    match (error, answerer) {
        (SendError::InvalidRequest(reason), _) => Failure::new(kind, reason.clone()),
        (_, Answerer::Daemon) => Failure::chain(kind, doing, error)
            .hint("see `docks daemon status` and `docks daemon logs`"),
        (SendError::Tls { .. }, Answerer::Remote) => {
            Failure::chain(kind, doing, error).hint("check the address with `docks config explain`")
        }
        (_, Answerer::Remote) => Failure::chain(kind, doing, error).hint(
            error
                .hint()
                .unwrap_or("check the network, and the address with `docks config explain`"),
        ),
    }
}

fn refusal_failure(status: u16, body: &RemoteErrorBody) -> Failure {
    if let Some(detail) = &body.detail {
        return detail.clone().into();
    }
    let kind = match status {
        401 | 403 => Kind::Auth,
        404 => Kind::NotFound,
        429 => Kind::RateLimited,
        300..=399 | 408 | 500..=599 => Kind::Unreachable,
        _ => Kind::Failed,
    };
    let mut failure = Failure::new(
        kind,
        match body.message.as_deref() {
            Some(message) => format!("the remote answered {status}: {message}"),
            None => format!("the remote answered {status}"),
        },
    );
    if !body.missing_tasks.is_empty() {
        let tasks = body.missing_tasks.join(", ");
        failure = failure.hint(format!("missing tasks: {tasks}"));
    }
    failure.hints.extend(body.hint.clone());
    let next = match status {
        300..=399 => {
            Some("docks does not follow redirects; check the address with `docks config explain`")
        }
        500..=599 => Some("try again later"),
        _ => default_hint(kind),
    };
    failure.hints.extend(next.map(str::to_owned));
    failure
}

#[cfg(test)]
mod tests {
    use docks_proto::error::parse_error_body;

    use super::*;

    #[test]
    fn every_status_of_a_remote_has_its_exit_code() {
        let table = [
            (302, 5),
            (400, 1),
            (401, 4),
            (403, 4),
            (404, 3),
            (408, 5),
            (409, 1),
            (422, 1),
            (429, 7),
            (500, 5),
            (502, 5),
            (503, 5),
            (504, 5),
        ];
        for (status, exit) in table {
            let failure = refusal_failure(status, &RemoteErrorBody::default());
            assert_eq!(failure.kind.exit_code(), exit, "{status}");
            assert!(failure.message.contains(&status.to_string()));
        }
    }

    #[test]
    fn the_daemons_own_code_wins_over_the_status() {
        let body = br#"{"detail":{"code":"ambiguous_id","message":"`a` fits 2 runs.",
            "candidates":[{"id":"ab"},{"id":"ac","name":"n"}]}}"#;
        let error = ClientError::Refused {
            status: 409,
            body: Box::new(parse_error_body(body)),
            retry_after: None,
        };
        let failure = Failure::from_client_error(&error, Answerer::Daemon);
        assert_eq!(failure.kind, Kind::Ambiguous);
        assert_eq!(failure.candidates.len(), 2);
        assert!(!failure.hints.is_empty());
    }

    #[test]
    fn the_message_of_the_remote_is_shown() {
        let body =
            br#"{"detail":{"message":"no such tasks","missing_tasks":["a","b"],"hint":"look"}}"#;
        let failure = refusal_failure(422, &parse_error_body(body));
        assert!(failure.message.ends_with("no such tasks"));
        assert_eq!(failure.hints, ["missing tasks: a, b", "look"]);
    }

    #[test]
    fn no_answer_is_unreachable_and_a_bad_id_is_a_usage_error() {
        let silent = SendError::Timeout {
            to: "https://a".into(),
            after_ms: 30_000,
        };
        assert_eq!(
            send_failure(&silent, Answerer::Remote).kind,
            Kind::Unreachable
        );
        let bad = SendError::InvalidRequest("an id cannot be empty".into());
        assert_eq!(send_failure(&bad, Answerer::Remote).kind, Kind::Usage);
        let nonsense = ClientError::InvalidReply("HTML".into());
        assert_eq!(
            Failure::from_client_error(&nonsense, Answerer::Remote).kind,
            Kind::Unreachable
        );
    }
}
