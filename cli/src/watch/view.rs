//! The live view: from what is known to lines of a terminal; pure.

use std::time::Duration;

use docks_proto::event::{ObjectState, is_failure};
use docks_proto::time::UnixMs;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::model::{Model, Watched};
use crate::output::cell::Ink;
use crate::output::clean;
use crate::output::durations;
use crate::output::lists::status_ink;

/// Columns of a bar.
const BAR: usize = 24;
/// Lines that a run takes at least in the full view.
const LEAST: usize = 3;

/// What a view depends on besides what is known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scene {
    /// Ages count from here.
    pub(crate) now: UnixMs,
    /// Columns of the terminal.
    pub(crate) width: usize,
    /// Its lines.
    pub(crate) height: usize,
    /// One line per run.
    pub(crate) compact: bool,
    /// The keys are explained.
    pub(crate) help: bool,
    /// With colours.
    pub(crate) colour: bool,
}

/// A line that is put together: texts with their colours.
#[derive(Debug, Default)]
struct Line(Vec<(String, Option<Ink>)>);

impl Line {
    fn put(mut self, text: impl AsRef<str>, ink: Option<Ink>) -> Self {
        // Whatever comes from a remote passes here.
        self.0.push((clean::line(text.as_ref()).into_owned(), ink));
        self
    }

    fn plain(self, text: impl AsRef<str>) -> Self {
        self.put(text, None)
    }

    fn width(&self) -> usize {
        self.0.iter().map(|(text, _)| text.width()).sum()
    }

    /// Cuts to the terminal's width and colours.
    fn lay_out(self, width: usize, colour: bool) -> String {
        let mut left = width;
        let mut out = String::new();
        let whole = self.width() <= width;
        for (text, ink) in self.0 {
            let room = if whole { left } else { left.saturating_sub(1) };
            let shown = cut(&text, room);
            left -= shown.width();
            match ink.filter(|_| colour) {
                Some(ink) => {
                    let style = ink.style();
                    out.push_str(&format!("{style}{shown}{style:#}"));
                }
                None => out.push_str(shown),
            }
            if shown.len() < text.len() {
                out.push('…');
                break;
            }
        }
        out
    }
}

fn cut(text: &str, width: usize) -> &str {
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += c.width().unwrap_or(0);
        if used > width {
            return &text[..at];
        }
    }
    text
}

/// Draws everything; never more lines than the terminal has.
pub(crate) fn frame(model: &Model, scene: Scene) -> Vec<String> {
    let mut lines = vec![header(model, scene)];
    lines.extend(blind(model, scene));
    if scene.help {
        lines.extend(help());
    }
    lines.push(Line::default());
    let room = scene.height.saturating_sub(lines.len());
    lines.extend(match model.ready {
        true => body(model, scene, room),
        false => vec![Line::default().put("looking …", Some(Ink::Dim))],
    });
    let (width, colour) = (scene.width, scene.colour);
    lines
        .into_iter()
        .take(scene.height)
        .map(|line| line.lay_out(width, colour))
        .collect()
}

fn header(model: &Model, scene: Scene) -> Line {
    let ended = model.runs.iter().filter(|run| run.ended()).count();
    let count = model.runs.len();
    let noun = if count == 1 { "run" } else { "runs" };
    let left = Line::default()
        .put("docks watch", Some(Ink::Bold))
        .plain(format!("  {count} {noun}, {ended} ended"));
    let keys = "q quit  ? help";
    let gap = scene.width.saturating_sub(left.width() + keys.width());
    if gap < 2 {
        return left;
    }
    left.plain(" ".repeat(gap)).put(keys, Some(Ink::Dim))
}

fn blind(model: &Model, scene: Scene) -> Option<Line> {
    let since = UnixMs::parse(model.source.unreachable_since.as_deref()?)?;
    let lasted = durations::lasting(scene.now.since(since).as_secs_f64());
    let why = model.source.reason.as_deref().unwrap_or("unknown reason");
    let text = format!("blind for {lasted}: {why}");
    Some(Line::default().put(text, Some(Ink::Yellow)))
}

fn help() -> Vec<Line> {
    [
        "  q       stop watching; the runs go on",
        "  Ctrl-C  the same, with exit code 130",
        "  c       one line per run, or all there is",
        "  ?       show or hide this",
    ]
    .map(|text| Line::default().put(text, Some(Ink::Dim)))
    .into()
}

fn body(model: &Model, scene: Scene, room: usize) -> Vec<Line> {
    let count = model.runs.len();
    let each = room / count.max(1);
    if scene.compact || each < LEAST {
        return compact(model, scene, room);
    }
    let mut lines = Vec::new();
    for (place, run) in model.runs.iter().enumerate() {
        // What one run leaves goes to those after it.
        let share = (room - lines.len()) / (count - place);
        lines.extend(full(run, scene, share));
    }
    lines
}

fn compact(model: &Model, scene: Scene, room: usize) -> Vec<Line> {
    let count = model.runs.len();
    let shown = if count <= room {
        count
    } else {
        room.saturating_sub(1)
    };
    // What goes on comes first when not everything has room.
    let mut runs: Vec<&Watched> = model.runs.iter().collect();
    if shown < count {
        runs.sort_by_key(|run| run.ended());
    }
    let names = runs.iter().take(shown).map(|run| run.label().width());
    let column = names.max().unwrap_or(0).min(scene.width / 3);
    let mut lines: Vec<Line> = (runs.iter().take(shown))
        .map(|run| {
            let name = cut(run.label(), column);
            let pad = " ".repeat(column.saturating_sub(name.width()) + 2);
            let mut line = Line::default().plain(name).plain(pad);
            line = line.put(format!("{:<12}", status(run)), status_ink(run.status()));
            counts(run, scene, line)
        })
        .collect();
    if shown < count {
        let text = format!("… and {} more", count - shown);
        lines.push(Line::default().put(text, Some(Ink::Dim)));
    }
    lines
}

fn status(run: &Watched) -> &str {
    match run.run {
        _ if run.gone() => "gone",
        Some(_) => run.status(),
        None => "unknown",
    }
}

fn full(run: &Watched, scene: Scene, share: usize) -> Vec<Line> {
    let mut title = Line::default()
        .put(run.label(), Some(Ink::Bold))
        .plain("  ")
        .put(status(run), status_ink(run.status()));
    if let Some(lasted) = lasted(run.run.as_ref(), scene.now) {
        title = title.plain(format!("  {lasted}"));
    }
    let mut lines = vec![title, counts(run, scene, Line::default().plain("  "))];
    if let Some(by_status) = by_status(run) {
        lines.push(by_status);
    }
    if let Some(error) = run.run.as_ref().and_then(|run| run.error.as_deref()) {
        lines.push(Line::default().plain("  ").put(error, Some(Ink::Dim)));
    }
    // One line stays empty between two runs.
    let room = share.saturating_sub(lines.len() + 1);
    let running = running(run, scene.now);
    let failures = failures(run);
    let for_failures = failures.len().min(room.div_ceil(2));
    let for_running = running.len().min(room - for_failures);
    let for_failures = failures.len().min(room - for_running);
    lines.extend(running.into_iter().take(for_running));
    lines.extend(failures.into_iter().take(for_failures));
    lines.push(Line::default());
    lines.truncate(share);
    lines
}

/// Adds bar, pass rate, reward, rate and time left.
fn counts(run: &Watched, scene: Scene, line: Line) -> Line {
    let Some(progress) = run.progress.as_ref().filter(|p| p.total > 0) else {
        return line;
    };
    let (total, finished) = (progress.total, progress.finished.min(progress.total));
    let share = |part: u64| usize::try_from(part * BAR as u64 / total).unwrap_or(BAR);
    let failed: u64 = (progress.by_status.iter())
        .filter(|(status, _)| is_failure(status))
        .map(|(_, count)| count)
        .sum();
    let (done, red) = (share(finished), share(failed.min(finished)));
    let green = done - red.min(done);
    let mut line = line
        .put("█".repeat(green), Some(Ink::Green))
        .put("█".repeat(done - green), Some(Ink::Red))
        .put("░".repeat(BAR - done), Some(Ink::Dim))
        .plain(format!(" {finished}/{total}"));
    if finished > 0 {
        let rate = progress.passed as f64 * 100.0 / finished as f64;
        line = line.plain(format!("  pass {rate:.0}%"));
    }
    if let Some(reward) = progress.mean_reward {
        line = line.plain(format!("  reward {reward:.2}"));
    }
    if let Some(rate) = run.rate(scene.now).filter(|_| !run.ended()) {
        line = line.plain(format!("  {rate:.1}/min"));
        let left = (total - finished) as f64 / rate * 60.0;
        if finished < total {
            line = line.plain(format!("  ~{} left", durations::lasting(left)));
        }
    }
    line
}

fn by_status(run: &Watched) -> Option<Line> {
    let progress = run.progress.as_ref()?;
    let mut line = Line::default().plain("  ");
    for (status, count) in &progress.by_status {
        line = line
            .put(format!("{status} {count}"), status_ink(status))
            .plain("  ");
    }
    (!progress.by_status.is_empty()).then_some(line)
}

fn running(run: &Watched, now: UnixMs) -> Vec<Line> {
    let at_work = |trial: &&ObjectState| trial.status.eq_ignore_ascii_case("running");
    let mut trials: Vec<&ObjectState> = run.trials.values().filter(at_work).collect();
    // The oldest are the ones to worry about; ids keep the others in their places.
    trials.sort_by(|a, b| (&a.started_at, &a.trial_id).cmp(&(&b.started_at, &b.trial_id)));
    trials
        .into_iter()
        .map(|trial| {
            let age = lasted(Some(trial), now).unwrap_or_default();
            Line::default()
                .put("  ▸ ", Some(Ink::Blue))
                .plain(trial_label(trial))
                .put(format!("  {age}"), Some(Ink::Dim))
        })
        .collect()
}

fn failures(run: &Watched) -> Vec<Line> {
    let latest = run.failures.iter().rev();
    let states = latest.filter_map(|id| run.trials.get(id));
    states
        .filter(|trial| is_failure(&trial.status))
        .map(|trial| {
            let error = trial.error.as_deref().unwrap_or(&trial.status);
            Line::default()
                .put("  ✗ ", Some(Ink::Red))
                .plain(trial_label(trial))
                .put(format!("  {error}"), Some(Ink::Dim))
        })
        .collect()
}

fn trial_label(trial: &ObjectState) -> &str {
    match &trial.trial_id {
        Some(id) if trial.name.is_empty() => id,
        _ => &trial.name,
    }
}

/// Returns how long something lasts, or lasted.
fn lasted(state: Option<&ObjectState>, now: UnixMs) -> Option<String> {
    let state = state?;
    let began = UnixMs::parse(state.started_at.as_deref()?)?;
    let ended = state.completed_at.as_deref().and_then(UnixMs::parse);
    let lasted: Duration = match state.ended {
        true => ended?.since(began),
        false => now.since(began),
    };
    Some(durations::lasting(lasted.as_secs_f64()))
}
