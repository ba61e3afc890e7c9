//! What all lists share: options become a query, the answer becomes rows.

use docks_proto::freshness::{CachePolicy, Freshness};
use docks_proto::object::{
    EVALUATION_STATUSES, RUN_STATUSES, RawObject, RunFields, TRIAL_STATUSES, parse_list,
};
use docks_proto::query::{DEFAULT_LIMIT, ListKind, ListQuery, Sort, TrialFilter};
use docks_proto::routes::RunKind;
use docks_proto::time::{UnixMs, parse_point_in_time};
use docks_proto::trial::Trial;
use jiff::tz::TimeZone;

use super::print_object::{body_text, print_json, report_age, report_odd_values};
use super::sync::with_progress;
use crate::args::{Format, ListOptions};
use crate::ask::{Request, Requester, Response, SeveralRemotes, WaitPolicy};
use crate::context::Context;
use crate::failure::{Failure, Kind};
use crate::output::clean;
use crate::output::json;
use crate::output::lists::{self, ListColumns, RowContext};
use crate::output::table::Table;

/// The list that is requested.
#[derive(Debug, Clone, Copy)]
pub(super) enum RequestedList<'a> {
    /// Runs of a kind.
    Runs(RunKind),
    /// Trials of a run.
    Trials(&'a str),
    /// Trials of all evaluation runs.
    AllTrials,
}

impl RequestedList<'_> {
    fn kind(self) -> ListKind {
        match self {
            RequestedList::Runs(_) => ListKind::Runs,
            RequestedList::Trials(_) => ListKind::Trials,
            RequestedList::AllTrials => ListKind::AllTrials,
        }
    }

    fn request<'q>(&'q self, query: &'q ListQuery) -> Request<'q> {
        match self {
            RequestedList::Runs(kind) => Request::Runs(*kind, query),
            RequestedList::Trials(run) => Request::Trials(run, query),
            RequestedList::AllTrials => Request::AllTrials(query),
        }
    }

    fn known_statuses(self) -> &'static [&'static str] {
        match self {
            RequestedList::Runs(RunKind::Run) => RUN_STATUSES,
            RequestedList::Runs(RunKind::Evaluation) => EVALUATION_STATUSES,
            RequestedList::Trials(_) | RequestedList::AllTrials => TRIAL_STATUSES,
        }
    }
}

/// Requests a list and prints it.
pub(super) async fn run<R>(
    context: &Context,
    list: RequestedList<'_>,
    rows: &ListColumns<R>,
    options: &ListOptions,
    trials: TrialFilter,
) -> Result<(), Failure> {
    let query = ListQuery {
        trials,
        ..query(list, options, context.now, TimeZone::system)?
    };
    // Columns that are asked for of one remote are its own, also if it has several directories.
    let is_shown = |several: &SeveralRemotes| {
        several.remotes.len() > 1 || !lists::replaces_columns(&options.columns)
    };
    if let Some(several) = SeveralRemotes::of(context)?.filter(is_shown) {
        rows.table_of_remotes(&[], &options.columns)?;
        // On the heap, as few commands need it.
        return if options.watch {
            Box::pin(watch::run(
                context,
                Some(&several),
                list,
                rows,
                options,
                &query,
            ))
            .await
        } else {
            Box::pin(several::run(context, &several, list, rows, options, &query)).await
        };
    }
    rows.select(&options.columns)?;
    let requester = Requester::new(context)?;
    for status in &query.status {
        check_status(&requester, list, status).await?;
    }
    if options.watch {
        return Box::pin(watch::run(context, None, list, rows, options, &query)).await;
    }
    let answered = if shows_progress(context, list) {
        let requester = requester.patience(WaitPolicy::WhileAlive { notice: None });
        let work = requester.request(list.request(&query));
        // On the heap, as few commands need it.
        Box::pin(with_progress(context, &requester, work)).await?
    } else {
        requester.request(list.request(&query)).await?
    };
    print(context, list, rows, options, &query, &answered)
}

/// Whether the daemon may have to ask the remote once for each run, which takes its time with hundreds of them, and
/// a person sees it.
fn shows_progress(context: &Context, list: RequestedList<'_>) -> bool {
    let is_bounded = matches!(
        context.global.allowed(),
        CachePolicy::NoCache | CachePolicy::MaxAge(_)
    );
    matches!(list, RequestedList::AllTrials) && is_bounded && context.output.style().stderr_terminal
}

/// Builds a query from options.
fn query(
    list: RequestedList<'_>,
    options: &ListOptions,
    now: UnixMs,
    zone: fn() -> TimeZone,
) -> Result<ListQuery, Failure> {
    let when = |text: &Option<String>| {
        // The time zone is read from files, so only if an option needs it.
        let read = |text: &String| parse_point_in_time(text, now, &zone());
        let point = text.as_ref().map(read).transpose();
        point.map_err(|bad| Failure::usage(bad.to_string()))
    };
    let sort = options.sort.as_ref().map(|key| {
        let read = Sort::parse(list.kind(), key);
        read.map_err(|bad| Failure::usage(bad.to_string()))
    });
    Ok(ListQuery {
        limit: options.limit.unwrap_or(match list {
            RequestedList::Runs(_) | RequestedList::AllTrials => DEFAULT_LIMIT,
            RequestedList::Trials(_) => 0,
        }),
        offset: 0,
        status: options.status.iter().map(|s| s.trim().to_owned()).collect(),
        search: options.search.clone().filter(|text| !text.is_empty()),
        since: when(&options.since)?,
        until: when(&options.until)?,
        sort: sort.transpose()?,
        trials: TrialFilter::default(),
    })
}

/// Accepts a status that the specification lists or that an object has.
///
/// # Errors
///
/// For any other, with those that are known.
pub(super) async fn check_status(
    requester: &Requester<'_>,
    list: RequestedList<'_>,
    status: &str,
) -> Result<(), Failure> {
    let known = list.known_statuses();
    if known.iter().any(|k| k.eq_ignore_ascii_case(status)) {
        return Ok(());
    }
    let seen = match status {
        "" => false,
        _ => {
            let probe = ListQuery {
                limit: 1,
                status: vec![status.to_owned()],
                ..ListQuery::default()
            };
            let answered = requester.request(list.request(&probe)).await?;
            answered.status_seen == Some(true) || !objects(&answered)?.is_empty()
        }
    };
    if seen {
        return Ok(());
    }
    Err(Failure::usage(format!("unknown status `{status}`"))
        .hint(format!("known statuses: {}", known.join(", "))))
}

fn objects(answered: &Response) -> Result<Vec<RawObject>, Failure> {
    parse_list(&answered.body)
        .map(|list| list.objects)
        .map_err(|error| Failure::chain(Kind::Failed, "could not read the answer", &error))
}

fn print<R>(
    context: &Context,
    list: RequestedList<'_>,
    rows: &ListColumns<R>,
    options: &ListOptions,
    query: &ListQuery,
    answered: &Response,
) -> Result<(), Failure> {
    let output = &context.output;
    let prints_whole_body = context.global.format == Format::Json && !options.quiet;
    let shown = if prints_whole_body {
        print_json(context, &body_text(&answered.body), answered);
        None
    } else {
        let objects = objects(answered)?;
        if options.quiet {
            print_ids(context, list, &objects)?;
        } else if context.global.format == Format::Jsonl {
            for object in &objects {
                output.line(json::compact(object.text()));
            }
        } else {
            print_table(context, rows, options, &objects, &answered.freshness)?;
        }
        Some(objects.len() as u64)
    };
    output.flush()?;
    if let Some(footer) = footer(query.limit, shown, answered.total) {
        output.message(footer);
    }
    if output.is_verbose() {
        report_odd_values(context, &objects(answered)?);
    }
    report_age(context, &answered.freshness);
    Ok(())
}

/// Prints ids as they are, or none: a script that reads them must not act on another object, nor on some of them.
///
/// # Errors
///
/// When a terminal or a reader of lines would take an id for another one.
fn print_ids<'a>(
    context: &Context,
    list: RequestedList<'_>,
    objects: impl IntoIterator<Item = &'a RawObject>,
) -> Result<(), Failure> {
    let mut lines = String::new();
    for object in objects {
        // The id of a trial is in the same field.
        let Some(id) = RunFields::from_object(object).id.text() else {
            continue;
        };
        if let RequestedList::AllTrials = list {
            // Both ids, as `docks runs trial` takes them.
            let run = Trial::from_object(object).run.id.text().unwrap_or_default();
            lines.push_str(printable_id(&run)?);
            lines.push('\t');
        }
        lines.push_str(printable_id(&id)?);
        lines.push('\n');
    }
    context.output.data(lines);
    Ok(())
}

/// Returns an id if it is shown as what it is.
///
/// # Errors
///
/// When a terminal or a reader of lines would take it for another one.
pub(super) fn printable_id(id: &str) -> Result<&str, Failure> {
    if clean::line(id) == id {
        return Ok(id);
    }
    let escape = |c: char| match c {
        c if c.is_control() || clean::is_deceptive(c) => c.escape_unicode().to_string(),
        c => c.to_string(),
    };
    let shown: String = id.chars().map(escape).collect();
    Err(Failure::failed(format!(
        "the id `{shown}` has characters that a terminal would misread, so no ids are printed"
    ))
    .hint("`--format json` or `--format jsonl` without -q prints such ids, escaped"))
}

/// Prints rows under headings.
fn print_table<R>(
    context: &Context,
    rows: &ListColumns<R>,
    options: &ListOptions,
    objects: &[RawObject],
    freshness: &Freshness,
) -> Result<(), Failure> {
    let specs = rows.select(&options.columns)?;
    let row_context = RowContext {
        now: context.now,
        age: freshness.age,
    };
    let table = rows.table(objects, &specs, row_context);
    print_rows(context, rows, &table, objects.is_empty());
    Ok(())
}

/// Prints a table; at a terminal, says so if it is empty.
fn print_rows<R>(context: &Context, rows: &ListColumns<R>, table: &Table, is_empty: bool) {
    let output = &context.output;
    match (context.global.format, output.style().width) {
        (Format::Table, Some(_)) if is_empty => output.message(rows.empty_message),
        (format, _) => output.table(format, table),
    }
}

/// Says how much of a list is shown if it was cut.
fn footer(limit: u64, shown: Option<u64>, total: Option<u64>) -> Option<String> {
    match (limit, total) {
        (0, _) => None,
        (limit, Some(total)) => (total > limit).then(|| format!("{limit} of {total}")),
        (limit, None) => (shown.is_none_or(|shown| shown >= limit))
            .then(|| format!("the first {limit}; --limit 0 shows all")),
    }
}

mod several;
mod watch;

pub(super) use several::check_statuses;

#[cfg(test)]
mod tests;
