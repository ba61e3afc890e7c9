//! The live view: lays out the state of the runs as lines of a terminal; does no I/O.

use std::time::Duration;

use docks_proto::event::{ObjectState, is_failure};
use docks_proto::time::UnixMs;
use unicode_width::UnicodeWidthStr;

use super::model::{Model, WatchedRun};
use super::styled_line::{StyledLine, cut};
use crate::output::cell::TextStyle;
use crate::output::durations;
use crate::output::known;
use crate::output::lists::{format_dollars, status_style};

/// Columns of a progress bar.
const BAR_WIDTH: usize = 24;
/// Fewest lines of a run in the full view.
const FEWEST_LINES: usize = 3;

/// The terminal and the user's choices.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ViewOptions {
    /// The present, which ages count from.
    pub(crate) now: UnixMs,
    /// Columns of the terminal.
    pub(crate) width: usize,
    /// Lines of the terminal.
    pub(crate) height: usize,
    /// Whether every run takes one line.
    pub(crate) compact: bool,
    /// Whether the keys are explained.
    pub(crate) help: bool,
    /// Whether colours are used.
    pub(crate) colour: bool,
}

/// Lays out the whole view; never more lines than the terminal has.
pub(crate) fn frame(model: &Model, options: ViewOptions) -> Vec<String> {
    let mut lines = vec![header(model, options)];
    lines.extend(outage(model, options));
    if options.help {
        lines.extend(help());
    }
    lines.push(StyledLine::default());
    let room = options.height.saturating_sub(lines.len());
    lines.extend(match model.ready {
        true => body(model, options, room),
        false => vec![StyledLine::default().text("loading …", Some(TextStyle::Dim))],
    });
    let (width, colour) = (options.width, options.colour);
    lines
        .into_iter()
        .take(options.height)
        .map(|line| line.render(width, colour))
        .collect()
}

fn header(model: &Model, options: ViewOptions) -> StyledLine {
    let ended = model.runs.iter().filter(|run| run.ended()).count();
    let count = model.runs.len();
    let noun = if count == 1 { "run" } else { "runs" };
    let left = StyledLine::default()
        .text("docks watch", Some(TextStyle::Bold))
        .plain(format!("  {count} {noun}, {ended} ended"));
    let keys = "q quit  ? help";
    let gap = options.width.saturating_sub(left.width() + keys.width());
    if gap < 2 {
        return left;
    }
    left.plain(" ".repeat(gap)).text(keys, Some(TextStyle::Dim))
}

fn outage(model: &Model, options: ViewOptions) -> Option<StyledLine> {
    let since = UnixMs::parse(model.source.unreachable_since.as_deref()?)?;
    let lasted = durations::format_seconds(options.now.since(since).as_secs_f64());
    let why = model.source.reason.as_deref().unwrap_or("unknown reason");
    let text = format!("no updates for {lasted}: {why}");
    Some(StyledLine::default().text(text, Some(TextStyle::Yellow)))
}

fn help() -> Vec<StyledLine> {
    [
        "  q       stop watching; the runs continue",
        "  Ctrl-C  the same, with exit code 130",
        "  c       one line per run, or all details",
        "  ?       show or hide this",
    ]
    .map(|text| StyledLine::default().text(text, Some(TextStyle::Dim)))
    .into()
}

fn body(model: &Model, options: ViewOptions, room: usize) -> Vec<StyledLine> {
    let count = model.runs.len();
    let each = room / count.max(1);
    if options.compact || each < FEWEST_LINES {
        return compact(model, options, room);
    }
    let mut lines = Vec::new();
    for (place, run) in model.runs.iter().enumerate() {
        // Lines that a run does not need go to the runs after it.
        let share = (room - lines.len()) / (count - place);
        lines.extend(full(run, options, share));
    }
    lines
}

fn compact(model: &Model, options: ViewOptions, room: usize) -> Vec<StyledLine> {
    let count = model.runs.len();
    let shown = if count <= room {
        count
    } else {
        room.saturating_sub(1)
    };
    // Active runs come first when there is not enough room for all.
    let mut runs: Vec<&WatchedRun> = model.runs.iter().collect();
    if shown < count {
        runs.sort_by_key(|run| run.ended());
    }
    let names = runs.iter().take(shown).map(|run| run.label().width());
    let column = names.max().unwrap_or(0).min(options.width / 3);
    let mut lines: Vec<StyledLine> = (runs.iter().take(shown))
        .map(|run| {
            let name = cut(run.label(), column);
            let pad = " ".repeat(column.saturating_sub(name.width()) + 2);
            let mut line = StyledLine::default().plain(name).plain(pad);
            line = line.text(format!("{:<12}", status(run)), status_style(run.status()));
            counts(run, options, line)
        })
        .collect();
    if shown < count {
        let text = format!("… and {} more", count - shown);
        lines.push(StyledLine::default().text(text, Some(TextStyle::Dim)));
    }
    lines
}

fn status(run: &WatchedRun) -> &str {
    match run.run {
        _ if run.gone() => "gone",
        Some(_) => run.status(),
        None => "unknown",
    }
}

fn full(run: &WatchedRun, options: ViewOptions, share: usize) -> Vec<StyledLine> {
    let mut title = StyledLine::default()
        .text(run.label(), Some(TextStyle::Bold))
        .plain("  ")
        .text(status(run), status_style(run.status()));
    if let Some(lasted) = duration(run.run.as_ref(), options.now) {
        title = title.plain(format!("  {lasted}"));
    }
    let mut lines = vec![
        title,
        counts(run, options, StyledLine::default().plain("  ")),
    ];
    if let Some(by_status) = by_status(run) {
        lines.push(by_status);
    }
    if let Some(error) = run.run.as_ref().and_then(|run| run.error.as_deref()) {
        lines.push(
            StyledLine::default()
                .plain("  ")
                .text(error, Some(TextStyle::Dim)),
        );
    }
    // One line stays empty between two runs.
    let room = share.saturating_sub(lines.len() + 1);
    let running = running_trials(run, options.now);
    let failures = failed_trials(run);
    let for_failures = failures.len().min(room.div_ceil(2));
    let for_running = running.len().min(room - for_failures);
    let for_failures = failures.len().min(room - for_running);
    lines.extend(running.into_iter().take(for_running));
    lines.extend(failures.into_iter().take(for_failures));
    lines.push(StyledLine::default());
    lines.truncate(share);
    lines
}

/// Appends bar, pass rate, reward, rate and remaining time.
fn counts(run: &WatchedRun, options: ViewOptions, line: StyledLine) -> StyledLine {
    let Some(progress) = run.progress.as_ref().filter(|p| p.total > 0) else {
        return line;
    };
    let (total, finished) = (progress.total, progress.finished.min(progress.total));
    let share = |part: u64| usize::try_from(part * BAR_WIDTH as u64 / total).unwrap_or(BAR_WIDTH);
    let failed: u64 = (progress.by_status.iter())
        .filter(|(status, _)| is_failure(status))
        .map(|(_, count)| count)
        .sum();
    let (done, red) = (share(finished), share(failed.min(finished)));
    let green = done - red.min(done);
    let mut line = line
        .text("█".repeat(green), Some(TextStyle::Green))
        .text("█".repeat(done - green), Some(TextStyle::Red))
        .text("░".repeat(BAR_WIDTH - done), Some(TextStyle::Dim))
        .plain(format!(" {finished}/{total}"));
    if finished > 0 {
        let rate = progress.passed as f64 * 100.0 / finished as f64;
        line = line.plain(format!("  pass {rate:.0}%"));
    }
    if let Some(reward) = progress.mean_reward {
        line = line.plain(format!("  reward {reward:.2}"));
    }
    if let Some(rate) = run.rate(options.now).filter(|_| !run.ended()) {
        line = line.plain(format!("  {rate:.1}/min"));
        let left = (total - finished) as f64 / rate * 60.0;
        if finished < total {
            line = line.plain(format!("  ~{} left", durations::format_seconds(left)));
        }
    }
    line
}

/// The trials by status, and what they cost.
fn by_status(run: &WatchedRun) -> Option<StyledLine> {
    let progress = run.progress.as_ref()?;
    let mut line = StyledLine::default().plain("  ");
    for (status, count) in &progress.by_status {
        line = line
            .text(format!("{status} {count}"), status_style(status))
            .plain("  ");
    }
    if let Some(cost) = progress.cost_usd {
        let cost = known::of(format_dollars(cost), progress.cost_n, progress.finished);
        line = line.plain(cost);
    }
    (!progress.by_status.is_empty()).then_some(line)
}

fn running_trials(run: &WatchedRun, now: UnixMs) -> Vec<StyledLine> {
    let at_work = |trial: &&ObjectState| trial.status.eq_ignore_ascii_case("running");
    let mut trials: Vec<&ObjectState> = run.trials.values().filter(at_work).collect();
    // The longest-running trials come first; ids keep the order stable.
    trials.sort_by(|a, b| (&a.started_at, &a.trial_id).cmp(&(&b.started_at, &b.trial_id)));
    trials
        .into_iter()
        .map(|trial| {
            let age = duration(Some(trial), now).unwrap_or_default();
            StyledLine::default()
                .text("  ▸ ", Some(TextStyle::Blue))
                .plain(trial_label(trial))
                .text(format!("  {age}"), Some(TextStyle::Dim))
        })
        .collect()
}

fn failed_trials(run: &WatchedRun) -> Vec<StyledLine> {
    let latest = run.failures.iter().rev();
    let states = latest.filter_map(|id| run.trials.get(id));
    states
        .filter(|trial| is_failure(&trial.status))
        .map(|trial| {
            let error = trial.error.as_deref().unwrap_or(&trial.status);
            StyledLine::default()
                .text("  ✗ ", Some(TextStyle::Red))
                .plain(trial_label(trial))
                .text(format!("  {error}"), Some(TextStyle::Dim))
        })
        .collect()
}

fn trial_label(trial: &ObjectState) -> &str {
    match &trial.trial_id {
        Some(id) if trial.name.is_empty() => id,
        _ => &trial.name,
    }
}

/// Returns how long a run or trial has been running, or took.
fn duration(state: Option<&ObjectState>, now: UnixMs) -> Option<String> {
    let state = state?;
    let began = UnixMs::parse(state.started_at.as_deref()?)?;
    let ended = state.completed_at.as_deref().and_then(UnixMs::parse);
    let lasted: Duration = match state.ended {
        true => ended?.since(began),
        false => now.since(began),
    };
    Some(durations::format_seconds(lasted.as_secs_f64()))
}
