//! `docks runs changes`.

use docks_proto::event::{Change, EventQuery};
use docks_proto::history::ChangesQuery;
use docks_proto::object::{RawObject, parse_list};
use docks_proto::time::UnixMs;
use futures_util::future::join_all;

use super::daemon_answer::{take_answer, unreadable};
use super::of_several::Unanswered;
use super::point_in_time::point_in_time;
use super::print_object::{body_text, print_json, print_json_text, report_age, report_remote_age};
use crate::args::{Format, RunsChanges};
use crate::ask::{Requester, Response, SeveralRemotes};
use crate::context::Context;
use crate::failure::{Failure, Kind};
use crate::output::json::{self, RemoteMeta};
use crate::output::table::{Column, Hide, Shrink};

/// Lists the changes in a period of time.
pub(super) async fn run(context: &Context, args: &RunsChanges) -> Result<(), Failure> {
    let query = query(context, args)?;
    if let Some(several) = SeveralRemotes::of(context)? {
        return Box::pin(run_of_several(context, &several, args, &query)).await;
    }
    let answered = fetch(context, &query).await?;
    let shown = if context.global.format == Format::Json {
        print_json(context, &body_text(&answered.body), &answered);
        None
    } else {
        let mut changes: Vec<Change> =
            serde_json::from_slice(&answered.body).map_err(unreadable)?;
        // The history is in the order of observation; people expect the order of events.
        changes.sort_by_cached_key(order);
        if context.global.format == Format::Jsonl {
            for change in &changes {
                context.output.line(line(change));
            }
        } else {
            print(context, &changes, None);
        }
        Some(changes.len() as u64)
    };
    context.output.flush()?;
    report_count(context, args, shown);
    report_age(context, &answered.freshness);
    Ok(())
}

/// Lists the changes of several remotes in one order.
async fn run_of_several(
    context: &Context,
    several: &SeveralRemotes,
    args: &RunsChanges,
    query: &ChangesQuery,
) -> Result<(), Failure> {
    let asking = several.remotes.iter().map(|remote| async move {
        let answered = fetch(&remote.context, query).await?;
        let list = parse_list(&answered.body)
            .map_err(|error| Failure::chain(Kind::Failed, "could not read the answer", &error))?;
        let read = |object: RawObject| {
            let change: Change = serde_json::from_str(object.text()).map_err(unreadable)?;
            Ok((change, object.with_text_member("remote", &remote.name)))
        };
        let changes: Result<Vec<_>, Failure> = list.objects.into_iter().map(read).collect();
        Ok::<_, Failure>((changes?, answered.freshness))
    });
    let mut changes: Vec<(Change, RawObject, String)> = Vec::new();
    let mut ages = Vec::new();
    let mut unanswered = Unanswered::of(several);
    let mut lacking = Vec::new();
    for (remote, outcome) in several.remotes.iter().zip(join_all(asking).await) {
        match outcome {
            Ok((own, freshness)) => {
                let own = own.into_iter();
                changes.extend(own.map(|(change, text)| (change, text, remote.name.clone())));
                ages.push((remote, freshness));
            }
            // The run that is asked for is in another one.
            Err(failure) if failure.kind == Kind::NotFound => lacking.push((remote, failure)),
            Err(failure) => unanswered.add(remote, failure),
        }
    }
    if ages.is_empty() {
        for (remote, failure) in lacking {
            unanswered.add(remote, failure);
        }
    }
    unanswered.fail_if_all()?;
    changes.sort_by_cached_key(|(change, ..)| order(change));
    if args.limit > 0 {
        let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
        changes.drain(..changes.len().saturating_sub(limit));
    }
    let count = changes.len() as u64;
    match context.global.format {
        Format::Json => {
            let texts: Vec<&str> = changes.iter().map(|(_, text, _)| text.text()).collect();
            let mut text = format!("[{}]", texts.join(","));
            if context.global.meta
                && let Some((_, oldest)) = ages.iter().max_by_key(|(_, age)| age.age)
            {
                let answered = ages.iter();
                let answered =
                    answered.map(|(remote, age)| RemoteMeta::answered(&remote.name, age));
                let meta: Vec<RemoteMeta<'_>> = answered.chain(unanswered.meta()).collect();
                text = json::with_remotes_meta(oldest, None, &meta, &text);
            }
            print_json_text(context, text);
        }
        Format::Jsonl => {
            for (_, text, _) in &changes {
                context.output.line(json::compact(text.text()));
            }
        }
        Format::Table | Format::Tsv | Format::Markdown | Format::Csv | Format::Latex => {
            let (changes, remotes): (Vec<Change>, Vec<String>) = changes
                .into_iter()
                .map(|(change, _, remote)| (change, remote))
                .unzip();
            print(context, &changes, Some(&remotes));
        }
    }
    context.output.flush()?;
    let shown = (context.global.format != Format::Json).then_some(count);
    report_count(context, args, shown);
    for (remote, freshness) in &ages {
        report_remote_age(context, &remote.name, freshness);
    }
    unanswered.report(context);
    unanswered.into_result()
}

/// Asks the daemon for the changes of one remote.
async fn fetch(context: &Context, query: &ChangesQuery) -> Result<Response, Failure> {
    let client = Requester::new(context)?.daemon().await?;
    let answer = client.changes(query).await;
    take_answer(context, &client, answer)
}

fn order(change: &Change) -> (Option<UnixMs>, u64) {
    (UnixMs::parse(&change.at), change.seq)
}

fn line(change: &Change) -> String {
    serde_json::to_string(change).expect("strings and numbers can be serialised as JSON")
}

fn report_count(context: &Context, args: &RunsChanges, shown: Option<u64>) {
    match shown {
        Some(0) => context.output.message("nothing changed"),
        Some(count) if count == args.limit => {
            let text = format!("the newest {count} changes; --limit 0 shows all");
            context.output.message(text);
        }
        _ => {}
    }
}

fn query(context: &Context, args: &RunsChanges) -> Result<ChangesQuery, Failure> {
    Ok(ChangesQuery {
        filter: EventQuery {
            runs: args.run.clone(),
            kinds: args.kind.iter().map(|kind| (*kind).into()).collect(),
            statuses: args.status.iter().map(|s| s.trim().to_owned()).collect(),
        },
        since: point_in_time(context, Some(&args.since))?,
        until: point_in_time(context, args.until.as_deref())?,
        limit: Some(args.limit),
    })
}

/// Prints rows; `remotes` says which of several each is from.
fn print(context: &Context, changes: &[Change], remotes: Option<&[String]>) {
    let row = |change: &Change| {
        let object = &change.object;
        let or_empty = |text: &Option<String>| text.clone().unwrap_or_default();
        vec![
            change.at.clone(),
            object.run_id.clone(),
            or_empty(&object.trial_id),
            object.name.clone(),
            or_empty(&change.from),
            object.status.clone(),
            or_empty(&object.error),
        ]
    };
    let mut rows: Vec<Vec<String>> = changes.iter().map(row).collect();
    if !rows.is_empty() || context.global.format == Format::Tsv {
        let mut columns = vec![
            Column::new("when", Shrink::Never),
            Column::new("run_id", Shrink::Id),
            Column::new("trial_id", Shrink::Id).hidden(Hide::First),
            Column::new("name", Shrink::Wrap(8)),
            Column::new("from", Shrink::Never).hidden(Hide::First),
            Column::new("to", Shrink::Never),
            Column::new("error", Shrink::Wrap(8)).hidden(Hide::Last),
        ];
        if let Some(remotes) = remotes {
            columns.push(Column::new("remote", Shrink::Wrap(8)));
            for (row, remote) in rows.iter_mut().zip(remotes) {
                row.push(remote.clone());
            }
        }
        context
            .output
            .records(context.global.format, columns, &rows);
    }
}
