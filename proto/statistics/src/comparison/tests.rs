use docks_proto::comparison::Union;

use super::*;
use crate::trial::RunFacts;

fn trial(task: &str, agent: &str, solved: Option<bool>) -> TrialFacts<'static> {
    TrialFacts {
        task: task.to_owned().into(),
        agent: agent.to_owned().into(),
        status: if solved.is_some() {
            "completed"
        } else {
            "running"
        }
        .into(),
        ended: solved.is_some(),
        solved,
        valid: true,
        counted_reward: solved.map(|solved| f64::from(u8::from(solved))),
        ..TrialFacts::default()
    }
}

fn run(name: &str, trials: Vec<TrialFacts<'static>>) -> RunTrials<'static> {
    RunTrials {
        remote: None,
        run: RunFacts {
            id: name.to_owned(),
            name: name.to_owned(),
            status: "completed".to_owned(),
            ..RunFacts::default()
        },
        trials,
    }
}

fn sides(runs: Vec<RunTrials<'static>>) -> Vec<SideTrials<'static>> {
    let runs = runs.into_iter();
    runs.map(|run| SideTrials::new(vec![run], Union::All))
        .collect()
}

/// Attempts at tasks: name, how many solved it, of how many.
fn attempts(agent: &str, tasks: &[(&str, usize, usize)]) -> Vec<TrialFacts<'static>> {
    let tasks = tasks.iter();
    tasks
        .flat_map(|(task, solved, all)| (0..*all).map(|at| trial(task, agent, Some(at < *solved))))
        .collect()
}

#[test]
fn a_task_that_differs_by_chance_is_not_called_better() {
    let found = compare(
        &sides(vec![
            run(
                "a",
                attempts("x", &[("won", 0, 1), ("same", 1, 1), ("shaky", 1, 2)]),
            ),
            run(
                "b",
                attempts("y", &[("won", 1, 1), ("same", 1, 1), ("new", 1, 1)]),
            ),
        ]),
        &CompareQuery::default(),
    );
    assert!(found.better.is_empty() && found.worse.is_empty());
    assert_eq!(
        (found.unclear, found.flaky),
        (vec!["won".to_owned()], vec!["shaky".to_owned()])
    );
    let row = |task: &str| found.tasks.iter().find(|row| row.task == task).unwrap();
    assert_eq!(row("won").change, Some(Change::Unclear));
    assert_eq!(row("same").change, Some(Change::Same));
    assert_eq!(row("shaky").change, None);
    assert_eq!(row("shaky").runs[1].status, OutcomeStatus::Missing);
    let delta = &found.summary.delta;
    assert_eq!(
        (delta.n_tasks, delta.only_first, delta.only_other),
        (2, 1, 1)
    );
    assert_eq!(delta.verdict, Verdict::Unclear);
}

#[test]
fn a_large_difference_is_claimed_for_the_run_and_for_its_tasks() {
    let names: Vec<String> = (0..12).map(|n| format!("t{n:02}")).collect();
    let all = |solved: usize| -> Vec<(&str, usize, usize)> {
        names
            .iter()
            .map(|name| (name.as_str(), solved, 6))
            .collect()
    };
    let found = compare(
        &sides(vec![
            run("a", attempts("x", &all(0))),
            run("b", attempts("x", &all(6))),
        ]),
        &CompareQuery::default(),
    );
    assert_eq!(found.summary.delta.verdict, Verdict::Better);
    assert_eq!(found.better.len(), 12);
    let text = &found.summary.text[0];
    assert!(
        text.starts_with("b is better than a: solved +100.0 points"),
        "{text}"
    );
    let reverse = compare(
        &sides(vec![
            run("a", attempts("x", &all(6))),
            run("b", attempts("x", &all(0))),
        ]),
        &CompareQuery::default(),
    );
    assert_eq!(reverse.worse.len(), 12);
}

#[test]
fn runs_without_a_common_task_are_told_so() {
    let found = compare(
        &sides(vec![
            run("a", attempts("x", &[("one", 1, 1)])),
            run("b", attempts("x", &[("two", 1, 1)])),
        ]),
        &CompareQuery::default(),
    );
    assert_eq!(found.summary.delta.value, None);
    let text = &found.summary.text[0];
    assert!(text.contains("no task in common"), "{text}");
}

#[test]
fn running_attempts_change_nothing_and_two_agents_of_a_run_are_kept_apart() {
    let mut half = attempts("x", &[("t", 1, 1)]);
    half.push(trial("t", "x", None));
    let found = compare(
        &sides(vec![
            run("a", attempts("x", &[("t", 1, 1)])),
            run("b", half),
        ]),
        &CompareQuery::default(),
    );
    assert_eq!(found.tasks[0].change, Some(Change::Same));
    let outcome = &found.tasks[0].runs[1];
    assert_eq!(
        (outcome.status, outcome.figures.ended),
        (OutcomeStatus::Pass, 1)
    );
    let both = |x: usize, y: usize| {
        let mut trials = attempts("x", &[("t", x, 1)]);
        trials.extend(attempts("y", &[("t", y, 1)]));
        trials
    };
    let found = compare(
        &sides(vec![run("a", both(1, 0)), run("b", both(1, 1))]),
        &CompareQuery::default(),
    );
    assert!(found.flaky.is_empty());
    assert_eq!(found.unclear, ["t (y)"]);
    let by_agent = compare(
        &sides(vec![run("a", both(1, 0)), run("b", both(1, 1))]),
        &CompareQuery {
            by: By::Agent,
            ..CompareQuery::default()
        },
    );
    let names: Vec<&str> = by_agent
        .groups
        .iter()
        .map(|group| group.name.as_str())
        .collect();
    assert_eq!(names, ["x", "y"]);
    assert_eq!(by_agent.groups[1].delta.as_ref().unwrap().value, Some(1.0));
}

#[test]
fn on_these_tasks_attempts_alone_decide_and_the_sentence_says_so() {
    let names: Vec<String> = (0..12).map(|at| format!("t{at}")).collect();
    let solved = |count: &dyn Fn(usize) -> usize, of: usize| -> Vec<(&str, usize, usize)> {
        let tasks = names.iter().enumerate();
        tasks.map(|(at, name)| (&**name, count(at), of)).collect()
    };
    let here = CompareQuery {
        on_these_tasks: true,
        ..CompareQuery::default()
    };
    // Always better at eight tasks, always worse at four.
    let before = solved(&|at| if at < 8 { 0 } else { 5 }, 5);
    let after = solved(&|at| if at < 8 { 5 } else { 0 }, 5);
    let runs = || {
        sides(vec![
            run("a", attempts("x", &before)),
            run("b", attempts("x", &after)),
        ])
    };
    let found = compare(&runs(), &here);
    let (delta, text) = (&found.summary.delta, &found.summary.text[0]);
    assert_eq!(
        (delta.verdict, delta.n_repeated),
        (Verdict::Better, Some(12))
    );
    assert!(
        text.contains("on these 12 tasks that both tried, p"),
        "{text}"
    );
    let others = compare(&runs(), &CompareQuery::default());
    let other = &others.summary.delta;
    assert_eq!((other.verdict, other.n_repeated), (Verdict::Unclear, None));
    assert_eq!(other.value, delta.value);
    let once = compare(
        &sides(vec![
            run("a", attempts("x", &solved(&|_| 0, 1))),
            run("b", attempts("x", &solved(&|_| 1, 1))),
        ]),
        &here,
    );
    let (delta, text) = (&once.summary.delta, &once.summary.text[0]);
    assert_eq!(
        (delta.verdict, delta.low, delta.n_repeated),
        (Verdict::Unclear, None, Some(0))
    );
    assert!(
        text.starts_with("too little data to tell b from a"),
        "{text}"
    );
    assert!(
        text.ends_with("it takes two attempts at a task to see how much they vary"),
        "{text}"
    );
}

#[test]
fn datasets_are_compared_apart() {
    let of = |easy, hard| {
        let mut trials = attempts("x", &[("t", easy, 1), ("u", hard, 1)]);
        for trial in &mut trials {
            trial.dataset = if trial.task == "t" { "easy" } else { "hard" }.into();
        }
        trials
    };
    let found = compare(
        &sides(vec![run("a", of(1, 0)), run("b", of(1, 1))]),
        &CompareQuery {
            by: By::Dataset,
            ..CompareQuery::default()
        },
    );
    let groups = found.groups.iter();
    let values: Vec<_> = groups
        .map(|group| (&*group.name, group.delta.as_ref().unwrap().value))
        .collect();
    assert_eq!(values, [("easy", Some(0.0)), ("hard", Some(1.0))]);
}

#[test]
fn of_several_runs_on_a_side_all_attempts_count_or_the_latest_or_the_best() {
    let mut first = run("first", attempts("x", &[("t", 2, 2), ("u", 0, 1)]));
    first.run.created_ms = Some(1);
    let mut second = run("second", attempts("x", &[("t", 0, 1), ("v", 1, 1)]));
    second.run.created_ms = Some(2);
    let counted = |union: Union| {
        let side = SideTrials::new(vec![first.clone(), second.clone()], union);
        let of_t = side.trials().filter(|trial| trial.task == "t");
        (of_t.count(), side.trials().count())
    };
    assert_eq!(counted(Union::All), (3, 5));
    assert_eq!(counted(Union::Latest), (1, 3));
    assert_eq!(counted(Union::Best), (2, 4));
}

#[test]
fn what_is_spent_is_compared_as_a_ratio_and_less_is_better() {
    let spent = |name: &str, cost: f64| {
        let trials = (0..30).map(|at| TrialFacts {
            cost_usd: (at < 29).then_some(cost * (1.0 + f64::from(at) / 100.0)),
            ..trial(&format!("t{at}"), "x", Some(true))
        });
        run(name, trials.collect())
    };
    let query = CompareQuery {
        metric: MetricName::Cost,
        ..CompareQuery::default()
    };
    let found = compare(&sides(vec![spent("a", 1.0), spent("b", 0.5)]), &query);
    let delta = &found.summary.delta;
    assert!((delta.value.unwrap() - 0.5).abs() < 1e-9, "{delta:?}");
    assert_eq!((delta.n_tasks, delta.verdict), (29, Verdict::Better));
    assert_eq!(
        (found.runs[0].figures.cost_n, found.runs[0].figures.ended),
        (29, 30)
    );
}

#[test]
fn a_saved_run_is_compared_like_the_run_itself() {
    let mut trials = attempts("x", &[("t", 1, 2), ("u", 2, 2)]);
    trials[0].cost_usd = Some(0.5);
    trials[1].rewards = vec![("speed".into(), 0.25)];
    let original = run("a", trials);
    let saved = save(&original.run, original.trials.iter().cloned());
    let back = facts_of_saved(&saved);
    assert_eq!(back.trials, original.trials);
    assert_eq!(back.run, original.run);
}

#[test]
fn several_sides_are_corrected_together() {
    let side = |name: &str, solved: usize| {
        let names: Vec<String> = (0..8).map(|n| format!("t{n}")).collect();
        let tasks: Vec<(&str, usize, usize)> = names
            .iter()
            .enumerate()
            .map(|(at, name)| (name.as_str(), usize::from(at < solved), 1))
            .collect();
        run(name, attempts("x", &tasks))
    };
    let one = compare(
        &sides(vec![side("a", 0), side("b", 6)]),
        &CompareQuery::default(),
    );
    let two = compare(
        &sides(vec![side("a", 0), side("b", 6), side("c", 6)]),
        &CompareQuery::default(),
    );
    assert!(one.summary.deltas.is_empty());
    assert_eq!(two.summary.deltas.len(), 2);
    let (p, adjusted) = (
        two.summary.delta.p.unwrap(),
        two.summary.delta.p_adjusted.unwrap(),
    );
    assert_eq!((one.summary.delta.p, 2.0 * p), (Some(p), adjusted));
    assert_eq!(one.summary.delta.verdict, Verdict::Better);
    assert_eq!(two.summary.delta.verdict, Verdict::Unclear);
}
