//! One list over several remotes: each is asked on its own, and their rows are merged.

use std::time::Duration;

use docks_proto::freshness::{AnsweredBy, Freshness};
use docks_proto::object::RawObject;
use docks_proto::query::{ListQuery, Sort, apply_query};
use futures_util::future::join_all;

use super::{RequestedList, check_status, footer, objects, print_ids, print_rows};
use crate::args::{Format, ListOptions};
use crate::ask::{NamedRemote, Requester, Response, SeveralRemotes};
use crate::commands::of_several::Unanswered;
use crate::commands::print_object::{print_json_text, report_odd_values, report_remote_age};
use crate::context::Context;
use crate::failure::{Failure, Kind};
use crate::output::json::{self, RemoteMeta};
use crate::output::lists::{ListColumns, RemoteRow, RowContext};

/// A row, and the remote that it is from.
#[derive(Debug)]
pub(super) struct MergedRow {
    /// The object, as its remote sent it.
    pub(super) object: RawObject,
    /// What its remote is called.
    pub(super) remote: String,
    /// How old it was when it arrived.
    pub(super) age: Duration,
}

impl AsRef<RawObject> for MergedRow {
    fn as_ref(&self) -> &RawObject {
        &self.object
    }
}

impl MergedRow {
    /// Returns the object with the name of its remote.
    fn named(&self) -> RawObject {
        self.object.with_text_member("remote", &self.remote)
    }
}

/// The merged list, and what each remote said.
#[derive(Debug)]
pub(super) struct MergedList {
    /// The rows, in the order of the query and cut to its limit.
    pub(super) rows: Vec<MergedRow>,
    /// How many rows match before the cut, where every remote that answered knows it.
    pub(super) total: Option<u64>,
    /// The remotes that answered.
    pub(super) answered: Vec<(String, Freshness)>,
    /// The remotes that did not, and why.
    pub(super) unanswered: Unanswered,
}

/// Prints the list of several remotes.
pub(super) async fn run<R>(
    context: &Context,
    several: &SeveralRemotes,
    list: RequestedList<'_>,
    rows: &ListColumns<R>,
    options: &ListOptions,
    query: &ListQuery,
) -> Result<(), Failure> {
    check_statuses(several, list, query).await?;
    let merged = fetch(several, list, query).await?;
    print(context, list, rows, options, query, &merged)?;
    merged.unanswered.into_result()
}

/// Accepts statuses that one of the remotes knows.
pub(in crate::commands) async fn check_statuses(
    several: &SeveralRemotes,
    list: RequestedList<'_>,
    query: &ListQuery,
) -> Result<(), Failure> {
    for status in &query.status {
        let checks = several.remotes.iter().map(|remote| async {
            let requester = Requester::new(&remote.context)?;
            check_status(&requester, list, status).await
        });
        let mut refused = None;
        let mut is_refused_by_all = true;
        for check in join_all(checks).await {
            match check {
                Err(failure) if failure.kind == Kind::Usage => refused = Some(failure),
                // Who gave no answer is said with the list.
                Err(_) => {}
                Ok(()) => is_refused_by_all = false,
            }
        }
        if let Some(failure) = refused.filter(|_| is_refused_by_all) {
            return Err(failure);
        }
    }
    Ok(())
}

/// Asks every remote at once, and merges their rows.
///
/// # Errors
///
/// When no remote answered.
pub(super) async fn fetch(
    several: &SeveralRemotes,
    list: RequestedList<'_>,
    query: &ListQuery,
) -> Result<MergedList, Failure> {
    let asking = several.remotes.iter().map(|remote| async move {
        let requester = Requester::new(&remote.context)?;
        let response = requester.request(list.request(query)).await?;
        rows_of(remote, response)
    });
    let mut merged = MergedList {
        rows: Vec::new(),
        total: Some(0),
        answered: Vec::new(),
        unanswered: Unanswered::of(several),
    };
    for (remote, outcome) in several.remotes.iter().zip(join_all(asking).await) {
        match outcome {
            Ok((rows, response)) => {
                merged.rows.extend(rows);
                let total = merged.total.zip(response.total);
                merged.total = total.map(|(sum, own)| sum + own);
                let answered = (remote.name.clone(), response.freshness);
                merged.answered.push(answered);
            }
            Err(failure) => merged.unanswered.add(remote, failure),
        }
    }
    merged.unanswered.fail_if_all()?;
    let sort = query.sort.unwrap_or_else(|| Sort::default_for(list.kind()));
    if sort.is_descending() {
        // Rows that compare equal are reversed once more.
        merged.rows.reverse();
    }
    // Each remote has sent as many rows as are shown at most, in the same order.
    (merged.rows, _) = apply_query(list.kind(), merged.rows, query);
    Ok(merged)
}

fn rows_of(
    remote: &NamedRemote,
    response: Response,
) -> Result<(Vec<MergedRow>, Response), Failure> {
    let rows = objects(&response)?.into_iter().map(|object| MergedRow {
        remote: remote.name_of(&object),
        age: response.freshness.age,
        object,
    });
    Ok((rows.collect(), response))
}

impl MergedList {
    /// Returns the age of the oldest answer, and where most can be asked again.
    pub(super) fn oldest(&self) -> Option<&Freshness> {
        let answers = self.answered.iter().map(|(_, freshness)| freshness);
        answers.max_by_key(|freshness| freshness.age)
    }

    fn objects(&self) -> impl Iterator<Item = &RawObject> {
        self.rows.iter().map(|row| &row.object)
    }

    /// Whether every answer came from a mirror.
    pub(super) fn is_mirrored(&self) -> bool {
        let mut answers = self.answered.iter();
        answers.all(|(_, freshness)| freshness.answered_by == AnsweredBy::Mirror)
    }

    /// Returns the rows as a table shows them, `later` after they arrived.
    pub(super) fn remote_rows(&self, context: RowContext) -> Vec<RemoteRow<'_>> {
        let rows = self.rows.iter().map(|row| RemoteRow {
            object: &row.object,
            remote: &row.remote,
            context: RowContext {
                now: context.now,
                age: row.age + context.age,
            },
        });
        rows.collect()
    }

    fn meta(&self) -> Vec<RemoteMeta<'_>> {
        let answered = self.answered.iter();
        let answered = answered.map(|(name, freshness)| RemoteMeta::answered(name, freshness));
        answered.chain(self.unanswered.meta()).collect()
    }
}

fn print<R>(
    context: &Context,
    list: RequestedList<'_>,
    rows: &ListColumns<R>,
    options: &ListOptions,
    query: &ListQuery,
    merged: &MergedList,
) -> Result<(), Failure> {
    let output = &context.output;
    if options.quiet {
        print_ids(context, list, merged.objects())?;
    } else {
        match context.global.format {
            Format::Json => {
                let named: Vec<RawObject> = merged.rows.iter().map(MergedRow::named).collect();
                let texts: Vec<&str> = named.iter().map(RawObject::text).collect();
                let mut text = format!("[{}]", texts.join(","));
                if let Some(oldest) = merged.oldest().filter(|_| context.global.meta) {
                    text = json::with_remotes_meta(oldest, merged.total, &merged.meta(), &text);
                }
                print_json_text(context, text);
            }
            Format::Jsonl => {
                for row in &merged.rows {
                    output.line(json::compact(row.named().text()));
                }
            }
            Format::Table | Format::Tsv | Format::Markdown | Format::Csv | Format::Latex => {
                let row_context = RowContext {
                    now: context.now,
                    age: Duration::ZERO,
                };
                let table =
                    rows.table_of_remotes(&merged.remote_rows(row_context), &options.columns)?;
                print_rows(context, rows, &table, merged.rows.is_empty());
            }
        }
    }
    output.flush()?;
    if let Some(footer) = footer(query.limit, Some(merged.rows.len() as u64), merged.total) {
        output.message(footer);
    }
    if output.is_verbose() {
        report_odd_values(context, merged.objects());
    }
    for (name, freshness) in &merged.answered {
        report_remote_age(context, name, freshness);
    }
    merged.unanswered.report(context);
    Ok(())
}
