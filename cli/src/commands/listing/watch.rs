//! A list that is kept up to date at a terminal.

use std::io;
use std::time::Duration;

use docks_proto::freshness::AnsweredBy;
use docks_proto::query::ListQuery;
use docks_proto::time::UnixMs;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use super::{RequestedList, footer, objects};
use crate::args::{Format, ListOptions};
use crate::ask::{Requester, Response};
use crate::context::Context;
use crate::failure::{Failure, Kind};
use crate::output::clean;
use crate::output::durations;
use crate::output::lists::{ListColumns, RowContext};
use crate::output::screen::{Screen, suspend_signal};

/// Interval for requests to the mirror, which cost the remote nothing.
const MIRROR_INTERVAL: Duration = Duration::from_secs(1);
/// Interval for requests to the remote itself: twelve per minute.
const REMOTE_INTERVAL: Duration = Duration::from_secs(5);

/// The latest answer, or why there is none.
#[derive(Default)]
struct ListView {
    answered: Option<Response>,
    at: UnixMs,
    failure: Option<(UnixMs, String)>,
}

/// Shows the list until the user quits.
pub(super) async fn run<R>(
    context: &Context,
    list: RequestedList<'_>,
    rows: &ListColumns<R>,
    options: &ListOptions,
    query: &ListQuery,
) -> Result<(), Failure> {
    if !context.output.style().live || context.global.format != Format::Table || options.quiet {
        return Err(
            Failure::usage("--watch draws a table, which needs a terminal")
                .hint("`docks runs watch` prints each change in a pipe"),
        );
    }
    let terminal_failed =
        |error: io::Error| Failure::chain(Kind::Failed, "could not use the terminal", &error);
    let mut view = ListView::default();
    // Errors in the query are reported before the screen is taken over.
    let first = Requester::new(context)?
        .request(list.request(query))
        .await?;
    let mut next = view.update(Ok(first), UnixMs::now());
    let mut screen = Screen::open().map_err(terminal_failed)?;
    let mut resized = signal(SignalKind::window_change()).map_err(terminal_failed)?;
    let mut suspended = signal(suspend_signal()).map_err(terminal_failed)?;
    let mut interrupted = signal(SignalKind::interrupt()).map_err(terminal_failed)?;
    let mut terminated = signal(SignalKind::terminate()).map_err(terminal_failed)?;
    loop {
        draw(context, rows, options, query, &view, &mut screen)?;
        let due = next;
        let mut pending = std::pin::pin!(async move {
            sleep_until(due).await;
            // Created for each request, since settings and tokens may change meanwhile.
            Requester::new(context)?.request(list.request(query)).await
        });
        let answered = loop {
            tokio::select! {
                biased;
                _ = interrupted.recv() => return Ok(()),
                _ = terminated.recv() => return Ok(()),
                key = screen.next_key() => match key {
                    Some(b'q' | b'Q') | None => return Ok(()),
                    Some(_) => {}
                },
                _ = suspended.recv() => {
                    screen.suspend().map_err(terminal_failed)?;
                    draw(context, rows, options, query, &view, &mut screen)?;
                }
                _ = resized.recv() => {
                    screen.clear().map_err(terminal_failed)?;
                    draw(context, rows, options, query, &view, &mut screen)?;
                }
                answered = &mut pending => break answered,
            }
        };
        next = view.update(answered, UnixMs::now());
    }
}

impl ListView {
    /// Records an answer or a failure; returns when to request again.
    fn update(&mut self, answered: Result<Response, Failure>, now: UnixMs) -> Instant {
        match answered {
            Ok(answered) => {
                let pause = match answered.freshness.answered_by {
                    AnsweredBy::Mirror => MIRROR_INTERVAL,
                    AnsweredBy::Remote => REMOTE_INTERVAL,
                };
                (self.answered, self.at, self.failure) = (Some(answered), now, None);
                Instant::now() + pause
            }
            Err(failure) => {
                let since = self.failure.take().map_or(now, |(since, _)| since);
                self.failure = Some((since, failure.message));
                Instant::now() + REMOTE_INTERVAL
            }
        }
    }

    /// Describes the age of the rows if it matters.
    fn age(&self, now: UnixMs) -> Option<String> {
        let answered = self.answered.as_ref()?;
        let age = durations::format_age(answered.freshness.age + now.since(self.at));
        let age = age.unwrap_or_else(|| "0s".to_owned());
        let incomplete = answered.freshness.incomplete.as_ref();
        match (&self.failure, &answered.freshness.stale_reason) {
            (Some((since, why)), _) => {
                let outage = durations::format_seconds(now.since(*since).as_secs_f64());
                Some(format!("no updates for {outage}: {why}; data is {age} old"))
            }
            (None, Some(why)) => Some(format!("data is {age} old: {why}")),
            (None, None) => incomplete.map(|why| format!("rows may be missing: {why}")),
        }
    }
}

fn draw<R>(
    context: &Context,
    rows: &ListColumns<R>,
    options: &ListOptions,
    query: &ListQuery,
    view: &ListView,
    screen: &mut Screen,
) -> Result<(), Failure> {
    let Some(answered) = &view.answered else {
        return Ok(());
    };
    let now = UnixMs::now();
    let (width, height) = screen.size();
    let list = objects(answered)?;
    let specs = rows.select(&options.columns)?;
    let row_context = RowContext {
        now,
        age: answered.freshness.age + now.since(view.at),
    };
    let table = rows.table(&list, &specs, !options.columns.is_empty(), row_context);
    let rendered = table.render(width, context.output.style().colour);
    let mut lines: Vec<String> = rendered.text.lines().map(str::to_owned).collect();
    // The last line is the footer, which counts the rows that do not fit.
    let room = height.saturating_sub(1).max(1);
    let hidden = lines.len().saturating_sub(room);
    lines.truncate(room);
    lines.resize(room, String::new());
    let count = list.len() as u64;
    let mut notes: Vec<String> = view.age(now).into_iter().collect();
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
