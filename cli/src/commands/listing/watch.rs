//! A list that is kept up to date at a terminal.

use std::io;
use std::time::Duration;

use docks_proto::freshness::{AnsweredBy, Freshness};
use docks_proto::query::ListQuery;
use docks_proto::time::UnixMs;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use super::several::{self, MergedList};
use super::{RequestedList, footer, objects};
use crate::args::{Format, ListOptions};
use crate::ask::{Requester, Response, SeveralRemotes};
use crate::context::Context;
use crate::failure::{Failure, Kind};
use crate::output::clean;
use crate::output::durations;
use crate::output::lists::{ListColumns, RowContext};
use crate::output::screen::{Screen, suspend_signal};
use crate::output::table::Table;

/// Interval for requests to the mirror, which cost the remote nothing.
const MIRROR_INTERVAL: Duration = Duration::from_secs(1);
/// Interval for requests to the remote itself: twelve per minute.
const REMOTE_INTERVAL: Duration = Duration::from_secs(5);

/// An answer of one remote, or of several.
enum Answer {
    One(Response),
    Several(MergedList),
}

/// The latest answer, or why there is none.
#[derive(Default)]
struct ListView {
    answered: Option<Answer>,
    at: UnixMs,
    failure: Option<(UnixMs, String)>,
}

/// Shows the list until the user quits.
pub(super) async fn run<R>(
    context: &Context,
    several: Option<&SeveralRemotes>,
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
    let first = fetch(context, several, list, query).await?;
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
            fetch(context, several, list, query).await
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

async fn fetch(
    context: &Context,
    several: Option<&SeveralRemotes>,
    list: RequestedList<'_>,
    query: &ListQuery,
) -> Result<Answer, Failure> {
    match several {
        Some(several) => Box::pin(several::fetch(several, list, query))
            .await
            .map(Answer::Several),
        None => {
            let request = list.request(query);
            let answered = Requester::new(context)?.request(request).await;
            answered.map(Answer::One)
        }
    }
}

impl Answer {
    /// Returns how old the rows are, those of several remotes at most.
    fn freshness(&self) -> Option<&Freshness> {
        match self {
            Answer::One(response) => Some(&response.freshness),
            Answer::Several(merged) => merged.oldest(),
        }
    }

    fn total(&self) -> Option<u64> {
        match self {
            Answer::One(response) => response.total,
            Answer::Several(merged) => merged.total,
        }
    }

    /// Returns when to ask again: a mirror costs its remote nothing.
    fn interval(&self) -> Duration {
        let is_mirrored = match self {
            Answer::One(response) => response.freshness.answered_by == AnsweredBy::Mirror,
            Answer::Several(merged) => merged.is_mirrored(),
        };
        if is_mirrored {
            MIRROR_INTERVAL
        } else {
            REMOTE_INTERVAL
        }
    }

    /// Builds the table; returns it with the number of its rows.
    fn table<R>(
        &self,
        rows: &ListColumns<R>,
        options: &ListOptions,
        context: RowContext,
    ) -> Result<(Table, usize), Failure> {
        match self {
            Answer::One(response) => {
                let list = objects(response)?;
                let specs = rows.select(&options.columns)?;
                let context = RowContext {
                    age: response.freshness.age + context.age,
                    ..context
                };
                let table = rows.table(&list, &specs, context);
                Ok((table, list.len()))
            }
            Answer::Several(merged) => {
                let shown = merged.remote_rows(context);
                let table = rows.table_of_remotes(&shown, &options.columns)?;
                Ok((table, shown.len()))
            }
        }
    }

    /// Says which remotes gave no answer.
    fn unanswered(&self) -> Vec<String> {
        match self {
            Answer::One(_) => Vec::new(),
            Answer::Several(merged) => {
                let failures = merged.unanswered.failures.iter();
                failures
                    .map(|(name, failure)| format!("{name}: {}", failure.message))
                    .collect()
            }
        }
    }
}

impl ListView {
    /// Records an answer or a failure; returns when to request again.
    fn update(&mut self, answered: Result<Answer, Failure>, now: UnixMs) -> Instant {
        match answered {
            Ok(answered) => {
                let pause = answered.interval();
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
        let freshness = self.answered.as_ref()?.freshness()?;
        let age = durations::format_age(freshness.age + now.since(self.at));
        let age = age.unwrap_or_else(|| "0s".to_owned());
        let incomplete = freshness.incomplete.as_ref();
        match (&self.failure, &freshness.stale_reason) {
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
    let row_context = RowContext {
        now,
        age: now.since(view.at),
    };
    let (table, count) = answered.table(rows, options, row_context)?;
    let rendered = table.render(width, context.output.style().colour);
    let mut lines: Vec<String> = rendered.text.lines().map(str::to_owned).collect();
    // The last line is the footer, which counts the rows that do not fit.
    let room = height.saturating_sub(1).max(1);
    let hidden = lines.len().saturating_sub(room);
    lines.truncate(room);
    lines.resize(room, String::new());
    let mut notes: Vec<String> = view.age(now).into_iter().collect();
    notes.extend(answered.unanswered());
    notes.extend(footer(query.limit, Some(count as u64), answered.total()));
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
