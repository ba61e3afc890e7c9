//! `docks runs history`.

use std::time::Duration;

use docks_proto::history::{History, StatusChange};
use docks_proto::time::UnixMs;

use super::daemon_answer::{take_answer, unreadable};
use super::print_object::{body_text, print_json, report_age};
use crate::args::{Format, RunsHistory};
use crate::ask::Requester;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::durations;
use crate::output::table::{Column, Shrink};

/// Delay from which a change is reported as observed late.
const LATE_AFTER: Duration = Duration::from_secs(60);
/// Longest pause between two observations that does not count as a gap.
const MAX_PAUSE: Duration = Duration::from_secs(180);

/// Shows the statuses of a run or trial over time.
pub(super) async fn run(context: &Context, args: &RunsHistory) -> Result<(), Failure> {
    let client = Requester::new(context)?.daemon().await?;
    let answer = client.history(&args.run_id, args.trial_id.as_deref()).await;
    let answered = take_answer(context, &client, answer)?;
    if context.global.format == Format::Json {
        print_json(context, &body_text(&answered.body), &answered);
    } else {
        let history: History = serde_json::from_slice(&answered.body).map_err(unreadable)?;
        let rows = timeline(&history);
        let columns = vec![
            Column::new("when", Shrink::Never),
            Column::new("status", Shrink::Never),
            Column::new("for", Shrink::Never),
            Column::new("learned", Shrink::Wrap(8)),
        ];
        context
            .output
            .records(context.global.format, columns, &rows);
    }
    context.output.flush()?;
    report_age(context, &answered.freshness);
    Ok(())
}

fn time(text: &str) -> UnixMs {
    UnixMs::parse(text).unwrap_or_default()
}

/// Returns changes and gaps in order, each with its duration.
fn timeline(history: &History) -> Vec<Vec<String>> {
    let now = time(&history.now);
    let mut rows: Vec<(UnixMs, Vec<String>)> = Vec::new();
    for (place, change) in history.changes.iter().enumerate() {
        let at = time(&change.at);
        let until = match history.changes.get(place + 1) {
            Some(next) => Some(time(&next.at)),
            None => (!history.ended).then_some(now),
        };
        let lasted = until.map(|until| durations::format_seconds(until.since(at).as_secs_f64()));
        let row = vec![
            at.rfc3339(),
            change.to.clone(),
            lasted.unwrap_or_default(),
            learned(change),
        ];
        rows.push((at, row));
    }
    for action in &history.actions {
        let at = time(&action.at);
        let who = format!("{} by {}", action.action, action.by);
        rows.push((at, vec![at.rfc3339(), "-".into(), String::new(), who]));
    }
    let Some((first, last)) = lifetime(history, now) else {
        return Vec::new();
    };
    for (from, until) in gaps(history, first, last) {
        let lasted = durations::format_seconds(until.since(from).as_secs_f64());
        let row = vec![from.rfc3339(), "-".into(), lasted, "not observed".into()];
        rows.push((from, row));
    }
    // A change within a gap comes after the start of the gap; at the same time, it comes first.
    rows.sort_by_key(|(at, _)| *at);
    rows.into_iter().map(|(_, row)| row).collect()
}

/// Returns the period in which the object could be observed.
fn lifetime(history: &History, now: UnixMs) -> Option<(UnixMs, UnixMs)> {
    let first = history.changes.first()?;
    let last = history.changes.last()?;
    let end = match history.ended {
        true => time(&last.at).max(time(&last.observed_at)),
        false => now,
    };
    Some((time(&first.at), end))
}

fn gaps(history: &History, first: UnixMs, last: UnixMs) -> Vec<(UnixMs, UnixMs)> {
    let mut gaps = Vec::new();
    let mut seen = first;
    for look in &history.observation_windows {
        let (from, until) = (time(&look.from), time(&look.until));
        if from > seen {
            gaps.push((seen, from.min(last)));
        }
        seen = seen.max(until);
    }
    gaps.push((seen, last));
    gaps.retain(|(from, until)| until.since(*from) > MAX_PAUSE);
    gaps
}

fn learned(change: &StatusChange) -> String {
    let how = match change.learned.as_str() {
        "own_action" => "own action",
        other => other,
    };
    let late = time(&change.observed_at).since(time(&change.at));
    if late < LATE_AFTER {
        return how.to_owned();
    }
    format!(
        "{how}, {} later",
        durations::format_seconds(late.as_secs_f64())
    )
}

#[cfg(test)]
mod tests {
    use docks_proto::event::ObjectKind;
    use docks_proto::history::{RunAction, TimeRange};

    use super::*;

    fn minute(count: i64) -> String {
        UnixMs(1_764_000_000_000 + count * 60_000).rfc3339()
    }

    fn entry(from: Option<&str>, to: &str, at: i64, observed: i64) -> StatusChange {
        StatusChange {
            seq: 1,
            from: from.map(str::to_owned),
            to: to.to_owned(),
            at: minute(at),
            observed_at: minute(observed),
            learned: "polled".to_owned(),
        }
    }

    fn history(ended: bool, looks: &[(i64, i64)]) -> History {
        History {
            kind: ObjectKind::Evaluation,
            run_id: "r".into(),
            trial_id: None,
            name: String::new(),
            status: String::new(),
            ended,
            changes: vec![
                entry(None, "running", 0, 0),
                entry(Some("running"), "failed", 30, 90),
            ],
            observation_windows: looks
                .iter()
                .map(|(from, until)| TimeRange {
                    from: minute(*from),
                    until: minute(*until),
                })
                .collect(),
            actions: Vec::new(),
            now: minute(200),
        }
    }

    fn short(history: &History) -> Vec<String> {
        let rows = timeline(history);
        rows.iter().map(|row| row[1..].join(" | ")).collect()
    }

    #[test]
    fn statuses_and_gaps_are_listed_in_order_with_their_durations() {
        let ended = history(true, &[(0, 10), (90, 100)]);
        assert_eq!(
            short(&ended),
            [
                "running | 30m00s | polled",
                "- | 1h20m | not observed",
                "failed |  | polled, 1h00m later",
            ]
        );
    }

    #[test]
    fn what_was_done_through_a_hub_is_listed_with_who_did_it() {
        let mut stopped = history(true, &[(0, 100)]);
        stopped.actions.push(RunAction {
            action: "cancel".into(),
            by: "alice".into(),
            at: minute(29),
        });
        assert_eq!(short(&stopped)[1], "- |  | cancel by alice");
    }

    #[test]
    fn an_active_run_is_observed_until_now() {
        let active = history(false, &[(0, 195)]);
        assert_eq!(short(&active).last().unwrap(), "- | 5m00s | not observed");
        assert_eq!(short(&active).len(), 3);
        assert!(short(&history(false, &[(0, 199)])).len() == 2);
    }
}
