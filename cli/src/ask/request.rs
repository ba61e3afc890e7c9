//! One place to ask, whoever answers: the daemon, or the remote itself.
//!
//! Commands ask a [`Source`] and never learn which it was, except from the
//! freshness of the answer. How the daemon is found, started and given up is
//! left to [`Ways`]; what the remote lacks is made up for in [`direct`].

use bytes::Bytes;
use docks_proto::client::{Answer, Client, ClientError, SendError};
use docks_proto::error::ErrorCode;
use docks_proto::freshness::{CachePolicy, Freshness};
use docks_proto::query::ListQuery;
use docks_proto::routes::{Action, RunKind};
use docks_proto::time::UnixMs;

use super::direct;
use crate::failure::{Answerer, Failure};
use crate::output::Output;

/// A way to an answer.
#[derive(Debug)]
pub(crate) enum Way {
    /// To the daemon.
    Daemon(Client),
    /// To the remote, past the daemon.
    Remote(Client),
}

/// Ways in the order in which they are tried.
pub(crate) trait Ways {
    /// Returns the way to try first.
    async fn first(&self) -> Result<Way, Failure>;

    /// Returns the way to try after `failed` gave no answer; `None` when that was the last.
    ///
    /// It is only called when asking again is safe.
    async fn next(&self, failed: &Way, error: &ClientError) -> Result<Option<Way>, Failure>;
}

/// What can be asked.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Question<'a> {
    /// A list of runs.
    Runs(RunKind, &'a ListQuery),
    /// One run by id, prefix or name.
    Run(RunKind, &'a str),
    /// The trials of a run.
    Trials(&'a str, &'a ListQuery),
    /// The trials of all evaluation runs.
    AllTrials(&'a ListQuery),
    /// One trial of a run.
    Trial(&'a str, &'a str),
    /// To do something to a run.
    Act(Action, &'a str),
    /// The same, and to kill its process where it cannot be stopped gently.
    Kill(Action, &'a str),
}

/// An answer with its age.
#[derive(Debug, Clone)]
pub(crate) struct Answered {
    /// JSON: an object, or for lists a bare array.
    pub(crate) body: Bytes,
    /// How old it is.
    pub(crate) freshness: Freshness,
    /// Lists: how many match before the cut, where that is known.
    pub(crate) total: Option<u64>,
    /// Empty lists from the daemon: whether the statuses asked for were ever seen.
    pub(crate) status_seen: Option<bool>,
}

/// One place to ask.
#[derive(Debug)]
pub(crate) struct Source<'a, W> {
    ways: W,
    allowed: CachePolicy,
    began: UnixMs,
    output: &'a Output,
}

impl<'a, W: Ways> Source<'a, W> {
    /// Takes the ways, how old answers may be, when the command began, and where `--debug` goes.
    pub(crate) fn new(ways: W, allowed: CachePolicy, began: UnixMs, output: &'a Output) -> Self {
        Self {
            ways,
            allowed,
            began,
            output,
        }
    }

    /// Asks one way after the other until one answers.
    ///
    /// # Errors
    ///
    /// Why nobody answered, or what the answerer refused.
    pub(crate) async fn ask(&self, question: Question<'_>) -> Result<Answered, Failure> {
        let mut way = self.ways.first().await?;
        loop {
            let (client, answerer, answer) = match &way {
                Way::Daemon(client) => {
                    let answer = self.ask_daemon(client, question).await;
                    (client, Answerer::Daemon, Ok(answer))
                }
                Way::Remote(client) => {
                    let answer = direct::ask(client, question, self.began).await;
                    (client, Answerer::Remote, answer)
                }
            };
            self.output.exchanges(answerer.name(), client);
            let error = match answer? {
                Ok(answered) => return Ok(answered),
                Err(error) => error,
            };
            if !elsewhere(question, &error) {
                return Err(Failure::of_client(&error, answerer));
            }
            match self.ways.next(&way, &error).await? {
                Some(next) => way = next,
                None => return Err(Failure::of_client(&error, answerer)),
            }
        }
    }

    async fn ask_daemon(
        &self,
        client: &Client,
        question: Question<'_>,
    ) -> Result<Answered, ClientError> {
        let allowed = self.allowed;
        let answer = match question {
            Question::Runs(kind, query) => client.list_runs(kind, query, allowed).await?,
            Question::Run(kind, id) => client.run(kind, id, allowed).await?,
            Question::Trials(run, query) => client.trials(run, query, allowed).await?,
            Question::AllTrials(query) => client.all_trials(query, allowed).await?,
            Question::Trial(run, trial) => client.trial(run, trial, allowed).await?,
            Question::Act(action, id) => {
                // A daemon of another protocol is found out before it does anything.
                client.status().await.map_err(not_sent)?;
                client.perform(action, id).await?
            }
            Question::Kill(action, id) => {
                client.status().await.map_err(not_sent)?;
                client.kill(action, id).await?
            }
        };
        Ok(self.answered(answer))
    }

    fn answered(&self, answer: Answer) -> Answered {
        Answered {
            freshness: answer
                .freshness
                .unwrap_or_else(|| direct::fresh(self.began)),
            total: answer.total,
            status_seen: answer.status_seen,
            body: answer.body,
        }
    }
}

/// Marks a failure as one that came before the question itself was sent.
fn not_sent(error: ClientError) -> ClientError {
    match error {
        ClientError::Send(SendError::Timeout { to, .. } | SendError::Broken { to, .. }) => {
            let source = "it does not answer".into();
            ClientError::Send(SendError::Connect { to, source })
        }
        other => other,
    }
}

/// Tells whether the same question may be put to another way.
///
/// Reading twice does no harm. An action is repeated only when it surely was
/// not begun: nobody took the connection, or the daemon was told apart before.
fn elsewhere(question: Question<'_>, error: &ClientError) -> bool {
    let acting = matches!(question, Question::Act(..) | Question::Kill(..));
    match error {
        ClientError::Send(SendError::InvalidRequest(_) | SendError::TooLarge { .. }) => false,
        ClientError::Send(SendError::Connect { .. }) | ClientError::Protocol { .. } => true,
        ClientError::Send(_) | ClientError::InvalidReply(_) => !acting,
        ClientError::Refused { body, .. } => body
            .detail
            .as_ref()
            .is_some_and(|detail| detail.code == ErrorCode::ShuttingDown),
    }
}
