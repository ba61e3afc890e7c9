//! How long a command waits for a daemon that is silent, and what a person sees meanwhile.

use std::pin::pin;
use std::time::Duration;

use docks_proto::client::Deadlines;
use tokio::time::{Instant, timeout};

use crate::output::Output;
use crate::output::spinner::Spinner;

/// Time without an answer after which the user is told what the command waits for.
const NOTICE_AFTER: Duration = Duration::from_secs(1);

/// Stands in for "no limit" where a duration is required.
const ONE_YEAR: Duration = Duration::from_secs(365 * 86_400);

/// How long a command waits for the daemon.
#[derive(Debug, Clone, Copy)]
pub(crate) enum WaitPolicy<'a> {
    /// Gives up a daemon that is silent for a second: the remote can answer instead, or the caller
    /// retries.
    Limited,
    /// Waits as long as the daemon's process lives: nobody else can answer.
    WhileAlive {
        /// Where the user is told about the wait; `None` while something else draws there.
        notice: Option<&'a Output>,
    },
}

impl<'a> WaitPolicy<'a> {
    /// Waits as long as the daemon's process lives, and says so on stderr.
    pub(crate) fn while_alive(output: &'a Output) -> Self {
        WaitPolicy::WhileAlive {
            notice: Some(output),
        }
    }

    /// Returns the deadlines of a connection to the daemon.
    ///
    /// Without deadlines the kernel ends the wait: it closes the connection when the process exits.
    pub(super) fn deadlines(self) -> Deadlines {
        match self {
            WaitPolicy::Limited => Deadlines::default(),
            WaitPolicy::WhileAlive { .. } => Deadlines {
                connect: ONE_YEAR,
                answer: None,
                ..Deadlines::default()
            },
        }
    }

    /// Returns when a wait of at most `limit` is over; `None` for never.
    pub(super) fn deadline(self, limit: Duration) -> Option<Instant> {
        match self {
            WaitPolicy::Limited => Some(Instant::now() + limit),
            WaitPolicy::WhileAlive { .. } => None,
        }
    }

    /// As [`with_notice`], where the user is told about the wait at all.
    pub(super) async fn notify<T>(
        self,
        describe: impl FnOnce() -> String,
        work: impl Future<Output = T>,
    ) -> T {
        match self {
            WaitPolicy::WhileAlive {
                notice: Some(output),
            } => with_notice(output, describe, work).await,
            _ => work.await,
        }
    }
}

/// Awaits `work`; when it takes longer than a second, tells the user what it waits for.
///
/// At a terminal the notice is a line on stderr that is cleared when the wait is over, in a pipe it
/// is only written with `--verbose`.
pub(crate) async fn with_notice<T>(
    output: &Output,
    describe: impl FnOnce() -> String,
    work: impl Future<Output = T>,
) -> T {
    let mut notice = None;
    let show = || notice = Some(Notice::show(output, describe()));
    when_slow(show, work).await
}

/// Awaits `work`, and calls `notify` once if that takes longer than a second.
pub(crate) async fn when_slow<T>(notify: impl FnOnce(), work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    if let Ok(done) = timeout(NOTICE_AFTER, &mut work).await {
        return done;
    }
    notify();
    work.await
}

/// A line on stderr about a wait, cleared when it is dropped.
struct Notice {
    _spinner: Option<Spinner>,
}

impl Notice {
    fn show(output: &Output, text: String) -> Self {
        if !output.style().stderr_terminal {
            output.verbose(text);
            return Self { _spinner: None };
        }
        Self {
            _spinner: Some(Spinner::show(text)),
        }
    }
}
