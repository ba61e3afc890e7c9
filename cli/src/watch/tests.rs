//! The model and its views, fed with events.

use docks_proto::event::{
    Change, ConnectionState, Event, ObjectKind, ObjectState, Progress, Ready, Resync,
};
use docks_proto::time::UnixMs;

use super::change_line::change_line;
use super::model::{Model, StatusChange};
use super::view::{ViewOptions, frame};

const NOW: UnixMs = UnixMs(1_764_000_000_000);

fn ago(seconds: i64) -> String {
    UnixMs(NOW.0 - seconds * 1_000).rfc3339()
}

fn state(trial: Option<&str>, status: &str) -> ObjectState {
    let ended = !matches!(status, "running" | "pending");
    ObjectState {
        kind: trial.map_or(ObjectKind::Evaluation, |_| ObjectKind::Trial),
        run_id: "r1".into(),
        trial_id: trial.map(str::to_owned),
        name: trial.map_or("nightly".to_owned(), |trial| format!("task-{trial}")),
        status: status.into(),
        ended,
        started_at: Some(ago(200)).filter(|_| status != "pending"),
        completed_at: ended.then(|| ago(20)),
        reward: None,
        error: (status == "failed").then(|| "boom\u{1b}[31m".into()),
    }
}

fn change(seq: u64, trial: Option<&str>, from: &str, to: &str) -> Event {
    Event::Change(Change {
        id: format!("1-{seq}"),
        seq,
        from: Some(from.into()),
        at: ago(10),
        observed_at: ago(9),
        learned: "polled".into(),
        left_out: 0,
        object: state(trial, to),
    })
}

fn ready() -> Event {
    Event::Ready(Ready { id: "1-1".into() })
}

fn progress(counts: &[(&str, u64)], settled: bool) -> Event {
    let mut progress = Progress {
        kind: Some(ObjectKind::Evaluation),
        run_id: "r1".into(),
        settled,
        mean_reward: Some(0.25),
        cost_usd: Some(0.015),
        cost_n: 1,
        ..Progress::default()
    };
    counts
        .iter()
        .for_each(|(status, n)| progress.add_trials(status, *n));
    Event::Progress(progress)
}

fn model() -> Model {
    Model::new(vec![(ObjectKind::Evaluation, "r1".into())])
}

fn apply(model: &mut Model, event: Event) -> Option<StatusChange> {
    model.apply(&event)
}

#[test]
fn the_same_change_from_two_sources_is_reported_once() {
    let mut model = model();
    assert!(apply(&mut model, Event::State(state(None, "running"))).is_some());
    apply(&mut model, Event::State(state(Some("t"), "running")));
    apply(&mut model, ready());
    let failed = || change(2, Some("t"), "running", "failed");
    let change = apply(&mut model, failed()).unwrap();
    assert_eq!(change.from.as_deref(), Some("running"));
    assert_eq!(apply(&mut model, failed()), None);
    // The state after a gap reports what was missed, and nothing else.
    let lost = Event::Resync(Resync {
        reason: "pruned".into(),
    });
    apply(&mut model, lost);
    assert_eq!(
        apply(&mut model, Event::State(state(Some("t"), "failed"))),
        None
    );
    let missed = apply(&mut model, Event::State(state(None, "failed"))).unwrap();
    assert_eq!(missed.from.as_deref(), Some("running"));
    assert!(model.ended() && !model.settled());
    apply(&mut model, progress(&[("failed", 1)], true));
    assert!(model.settled());
}

#[test]
fn events_of_other_runs_change_nothing() {
    let mut model = model();
    apply(&mut model, ready());
    let mut other = state(None, "failed");
    other.kind = ObjectKind::Run;
    assert_eq!(apply(&mut model, Event::State(other)), None);
    assert!(!model.ended());
}

#[test]
fn a_run_that_is_gone_has_ended() {
    let mut model = model();
    apply(&mut model, ready());
    let gone = Progress {
        kind: Some(ObjectKind::Evaluation),
        run_id: "r1".into(),
        gone: true,
        ..Progress::default()
    };
    apply(&mut model, Event::Progress(gone));
    assert!(model.settled());
}

#[test]
fn a_line_is_clean_and_the_first_state_of_a_trial_has_none() {
    let mut model = model();
    let run = apply(&mut model, Event::State(state(None, "running"))).unwrap();
    let there = apply(&mut model, Event::State(state(Some("a"), "passed"))).unwrap();
    assert_eq!(change_line(&model, &there), None);
    let at = ago(200);
    let expected = format!("{at}\tnightly\t\t\trunning\t");
    assert_eq!(change_line(&model, &run), Some(expected));
    apply(&mut model, ready());
    let planned = apply(&mut model, Event::State(state(Some("b"), "pending"))).unwrap();
    assert_eq!(change_line(&model, &planned), None);
    let failed = apply(&mut model, change(3, Some("b"), "pending", "failed")).unwrap();
    let at = ago(10);
    let expected = format!("{at}\tnightly\tb\tpending\tfailed\tboom");
    assert_eq!(change_line(&model, &failed), Some(expected));
}

fn options(width: usize, height: usize) -> ViewOptions {
    ViewOptions {
        now: NOW,
        width,
        height,
        compact: false,
        help: false,
        colour: false,
    }
}

fn busy(runs: usize, trials: usize) -> Model {
    let keys = (1..=runs).map(|n| (ObjectKind::Evaluation, format!("r{n}")));
    let mut model = Model::new(keys.collect());
    for run in 1..=runs {
        let of = |mut state: ObjectState| {
            state.run_id = format!("r{run}");
            Event::State(state)
        };
        apply(&mut model, of(state(None, "running")));
        for trial in 0..trials {
            let status = ["running", "failed", "passed", "pending"][trial % 4];
            apply(&mut model, of(state(Some(&format!("{trial:03}")), status)));
        }
        let quarter = trials as u64 / 4;
        let counts = ["running", "failed", "passed", "pending"].map(|s| (s, quarter));
        if let Event::Progress(mut counted) = progress(&counts, false) {
            counted.run_id = format!("r{run}");
            apply(&mut model, Event::Progress(counted));
        }
    }
    apply(&mut model, ready());
    model
}

#[test]
fn a_run_is_shown_with_its_counts_trials_and_failures() {
    let shown = frame(&busy(1, 8), options(80, 24));
    let bar = format!("{}{}", "█".repeat(12), "░".repeat(12));
    assert_eq!(
        shown,
        [
            "docks watch  1 run, 0 ended                                       q quit  ? help",
            "",
            "nightly  running  3m20s",
            &format!("  {bar} 4/8  pass 50%  reward 0.25  12.0/min  ~20s left"),
            "  failed 2  passed 2  pending 2  running 2  $0.015 (1/4)",
            "  ▸ task-000  3m20s",
            "  ▸ task-004  3m20s",
            "  ✗ task-005  boom",
            "  ✗ task-001  boom",
            "",
        ]
    );
}

#[test]
fn no_frame_is_larger_than_its_terminal() {
    use unicode_width::UnicodeWidthStr;
    for runs in [1, 2, 3, 7, 60] {
        let model = busy(runs, 40);
        for (width, height) in [(80, 24), (200, 50), (20, 5), (1, 1), (40, 2)] {
            for (compact, help) in [(false, false), (true, false), (false, true)] {
                let view = ViewOptions {
                    compact,
                    help,
                    ..options(width, height)
                };
                let shown = frame(&model, view);
                assert!(shown.len() <= height, "{runs} runs, {width}x{height}");
                for line in &shown {
                    assert!(line.width() <= width, "{width}: {line}");
                }
            }
        }
    }
}

#[test]
fn many_runs_are_a_line_each_and_the_rest_is_counted() {
    let shown = frame(&busy(60, 4), options(80, 24));
    assert_eq!(shown.len(), 24);
    assert!(
        shown[2].starts_with("nightly  running     ████"),
        "{}",
        shown[2]
    );
    assert_eq!(shown[23], "… and 39 more");
}

#[test]
fn an_outage_is_shown_with_its_duration_and_cause() {
    let mut model = busy(1, 0);
    let outage = ConnectionState {
        unreachable_since: Some(ago(3_720)),
        reason: Some("no route".into()),
    };
    apply(&mut model, Event::Connection(outage));
    assert_eq!(
        frame(&model, options(80, 24))[1],
        "no updates for 1h02m: no route"
    );
    apply(&mut model, Event::Connection(ConnectionState::default()));
    assert_eq!(frame(&model, options(80, 24))[1], "");
}
