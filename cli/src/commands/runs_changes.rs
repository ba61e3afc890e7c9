//! `docks runs changes`.

use docks_proto::event::{Change, EventQuery};
use docks_proto::history::ChangesQuery;
use docks_proto::time::{UnixMs, parse_point_in_time};
use jiff::tz::TimeZone;

use super::print_object::{body_text, print_json, report_age};
use super::runs_history::{answered, unreadable};
use crate::args::{Format, RunsChanges};
use crate::ask::Requester;
use crate::context::Context;
use crate::failure::{Answerer, Failure};
use crate::output::table::{Column, Hide, Shrink};

/// Lists the changes in a period of time.
pub(super) async fn run(context: &Context, args: &RunsChanges) -> Result<(), Failure> {
    let query = query(context, args)?;
    let client = Requester::new(context)?.daemon().await?;
    let answer = client.changes(&query).await;
    context
        .output
        .debug_exchanges(Answerer::Daemon.name(), &client);
    let answer = answer.map_err(|error| Failure::from_client_error(&error, Answerer::Daemon))?;
    let answered = answered(answer, context.now);
    let shown = if context.global.format == Format::Json {
        print_json(context, &body_text(&answered.body), &answered);
        None
    } else {
        let mut changes: Vec<Change> =
            serde_json::from_slice(&answered.body).map_err(unreadable)?;
        // The history is in the order of observation; people expect the order of events.
        changes.sort_by_cached_key(|change| (UnixMs::parse(&change.at), change.seq));
        print(context, &changes);
        Some(changes.len() as u64)
    };
    context.output.flush()?;
    match shown {
        Some(0) => context.output.message("nothing changed"),
        Some(count) if count == args.limit => {
            let text = format!("the newest {count} changes; --limit 0 shows all");
            context.output.message(text);
        }
        _ => {}
    }
    report_age(context, &answered.freshness);
    Ok(())
}

fn query(context: &Context, args: &RunsChanges) -> Result<ChangesQuery, Failure> {
    let when = |text: &String| -> Result<UnixMs, Failure> {
        parse_point_in_time(text, context.now, &TimeZone::system())
            .map_err(|bad| Failure::usage(bad.to_string()))
    };
    Ok(ChangesQuery {
        filter: EventQuery {
            runs: args.run.clone(),
            kinds: args.kind.iter().map(|kind| (*kind).into()).collect(),
            statuses: args.status.iter().map(|s| s.trim().to_owned()).collect(),
        },
        since: Some(when(&args.since)?),
        until: args.until.as_ref().map(when).transpose()?,
        limit: Some(args.limit),
    })
}

fn print(context: &Context, changes: &[Change]) {
    if context.global.format == Format::Jsonl {
        for change in changes {
            let line = serde_json::to_string(change)
                .expect("strings and numbers can be serialised as JSON");
            context.output.line(line);
        }
        return;
    }
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
    let rows: Vec<Vec<String>> = changes.iter().map(row).collect();
    if !rows.is_empty() || context.global.format == Format::Tsv {
        let columns = vec![
            Column::new("when", Shrink::Never),
            Column::new("run_id", Shrink::Id),
            Column::new("trial_id", Shrink::Id).hidden(Hide::First),
            Column::new("name", Shrink::Wrap(8)),
            Column::new("from", Shrink::Never).hidden(Hide::First),
            Column::new("to", Shrink::Never),
            Column::new("error", Shrink::Wrap(8)).hidden(Hide::Last),
        ];
        context
            .output
            .records(context.global.format, columns, &rows);
    }
}
