//! A list that is kept current at a terminal.

use std::io;
use std::time::Duration;

use docks_proto::freshness::AnsweredBy;
use docks_proto::query::ListQuery;
use docks_proto::time::UnixMs;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use super::{Which, footer, objects};
use crate::args::{Format, ListOptions};
use crate::ask::{Requester, Response};
use crate::context::Context;
use crate::failure::{Failure, Kind};
use crate::output::clean;
use crate::output::durations;
use crate::output::lists::{ListColumns, RowContext};
use crate::output::screen::{Screen, suspend_signal};

/// Between two looks at the daemon's mirror, which cost the remote nothing.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The same where the remote itself answers: twelve a minute.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// What is shown.
#[derive(Default)]
struct Shown {
    answered: Option<Response>,
    at: UnixMs,
    trouble: Option<(UnixMs, String)>,
}

/// Shows the list until it has been seen enough.
pub(super) async fn run<R>(
    context: &Context,
    which: Which<'_>,
    rows: &ListColumns<R>,
    options: &ListOptions,
    query: &ListQuery,
) -> Result<(), Failure> {
    if !context.output.style().live || context.global.format != Format::Table || options.quiet {
        return Err(
            Failure::usage("--watch draws a table, and this is no terminal for one")
                .hint("`docks runs watch` prints each change in a pipe"),
        );
    }
    let gone =
        |error: io::Error| Failure::chain(Kind::Failed, "could not use the terminal", &error);
    let mut shown = Shown::default();
    // What is wrong with the question is said before the screen is taken.
    let first = Requester::new(context)?
        .request(which.request(query))
        .await?;
    let mut next = shown.take(Ok(first), UnixMs::now());
    let mut screen = Screen::open().map_err(gone)?;
    let mut resized = signal(SignalKind::window_change()).map_err(gone)?;
    let mut stopped = signal(suspend_signal()).map_err(gone)?;
    let mut ended = signal(SignalKind::interrupt()).map_err(gone)?;
    let mut terminated = signal(SignalKind::terminate()).map_err(gone)?;
    loop {
        draw(context, rows, options, query, &shown, &mut screen)?;
        let due = next;
        let mut looking = std::pin::pin!(async move {
            sleep_until(due).await;
            // Anew each time: a night lies between, and settings or tokens may change.
            Requester::new(context)?.request(which.request(query)).await
        });
        let answered = loop {
            tokio::select! {
                biased;
                _ = ended.recv() => return Ok(()),
                _ = terminated.recv() => return Ok(()),
                key = screen.next_key() => match key {
                    Some(b'q' | b'Q') | None => return Ok(()),
                    Some(_) => {}
                },
                _ = stopped.recv() => {
                    screen.suspend().map_err(gone)?;
                    draw(context, rows, options, query, &shown, &mut screen)?;
                }
                _ = resized.recv() => {
                    screen.clear().map_err(gone)?;
                    draw(context, rows, options, query, &shown, &mut screen)?;
                }
                answered = &mut looking => break answered,
            }
        };
        next = shown.take(answered, UnixMs::now());
    }
}

impl Shown {
    /// Takes an answer, or why there is none; returns when to ask again.
    fn take(&mut self, answered: Result<Response, Failure>, now: UnixMs) -> Instant {
        match answered {
            Ok(answered) => {
                let pause = match answered.freshness.answered_by {
                    AnsweredBy::Mirror => LOOK_EVERY,
                    AnsweredBy::Remote => ASK_EVERY,
                };
                (self.answered, self.at, self.trouble) = (Some(answered), now, None);
                Instant::now() + pause
            }
            Err(failure) => {
                let since = self.trouble.take().map_or(now, |(since, _)| since);
                self.trouble = Some((since, failure.message));
                Instant::now() + ASK_EVERY
            }
        }
    }

    /// Says how old what is shown is, where that matters.
    fn age(&self, now: UnixMs) -> Option<String> {
        let answered = self.answered.as_ref()?;
        let age = durations::format_age(answered.freshness.age + now.since(self.at));
        let age = age.unwrap_or_else(|| "0s".to_owned());
        match (&self.trouble, &answered.freshness.stale_reason) {
            (Some((since, why)), _) => {
                let blind = durations::format_seconds(now.since(*since).as_secs_f64());
                Some(format!("blind for {blind}: {why}; data is {age} old"))
            }
            (None, Some(why)) => Some(format!("data is {age} old: {why}")),
            (None, None) => None,
        }
    }
}

fn draw<R>(
    context: &Context,
    rows: &ListColumns<R>,
    options: &ListOptions,
    query: &ListQuery,
    shown: &Shown,
    screen: &mut Screen,
) -> Result<(), Failure> {
    let Some(answered) = &shown.answered else {
        return Ok(());
    };
    let now = UnixMs::now();
    let (width, height) = screen.size();
    let list = objects(answered)?;
    let specs = rows.select(&options.columns)?;
    let row_context = RowContext {
        now,
        age: answered.freshness.age + now.since(shown.at),
    };
    let table = rows.table(&list, &specs, !options.columns.is_empty(), row_context);
    let rendered = table.render(width, context.output.style().colour);
    let mut lines: Vec<String> = rendered.text.lines().map(str::to_owned).collect();
    // The last line is ours; what has no room is counted there.
    let room = height.saturating_sub(1).max(1);
    let hidden = lines.len().saturating_sub(room);
    lines.truncate(room);
    lines.resize(room, String::new());
    let count = list.len() as u64;
    let mut notes: Vec<String> = shown.age(now).into_iter().collect();
    notes.extend(footer(query.limit, Some(count), answered.total));
    if hidden > 0 {
        notes.push(format!("{hidden} more rows below"));
    }
    notes.push("q quits".to_owned());
    let notes = notes.join("  ");
    lines.push(clean::line(&notes).chars().take(width).collect());
    screen
        .draw(lines)
        .map_err(|error| Failure::chain(Kind::Failed, "could not use the terminal", &error))
}
