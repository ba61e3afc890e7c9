use docks_proto::tasks::{HistoryBy, TaskHistoryQuery, TaskSort, TasksQuery};
use docks_proto::time::UnixMs;

use super::*;
use crate::failures::RuleSet;
use crate::trial::{FactsList, RunFacts, TrialFacts, encode};

/// A Sunday and the Monday after it.
const SUNDAY: &str = "2026-11-29T23:00:00.000Z";
const MONDAY: &str = "2026-11-30T01:00:00.000Z";

fn ms(time: &str) -> Option<i64> {
    Some(UnixMs::parse(time).unwrap().0)
}

fn trial(agent: &str, task: &str, solved: Option<bool>, at: &str) -> TrialFacts<'static> {
    TrialFacts {
        task: task.to_owned().into(),
        agent: agent.to_owned().into(),
        ended: solved.is_some(),
        solved,
        completed_ms: ms(at),
        ..TrialFacts::default()
    }
}

fn facts(runs: &[(&str, Vec<TrialFacts<'static>>)]) -> FactsList {
    let mut facts = FactsList::default();
    for (run, trials) in runs {
        facts.begin_run(RunFacts {
            id: (*run).to_owned(),
            created_ms: ms("2026-11-29T20:00:00Z"),
            ..RunFacts::default()
        });
        for trial in trials {
            assert!(facts.push(&encode(trial)));
        }
    }
    facts
}

fn listed(facts: &FactsList, query: &TasksQuery) -> Vec<docks_proto::tasks::TaskFigures> {
    list(facts, query, &RuleSet::with_built_in(Vec::new())).0
}

#[test]
fn attempts_of_two_agents_do_not_make_a_task_flaky_and_those_of_one_do() {
    let runs = facts(&[
        (
            "r1",
            vec![
                trial("x", "apart", Some(true), SUNDAY),
                trial("y", "apart", Some(false), SUNDAY),
                trial("x", "flips", Some(true), SUNDAY),
                trial("y", "flips", Some(true), SUNDAY),
            ],
        ),
        (
            "r2",
            vec![
                trial("x", "apart", Some(true), MONDAY),
                trial("y", "apart", Some(false), MONDAY),
                trial("x", "flips", Some(false), MONDAY),
                trial("x", "once", None, MONDAY),
            ],
        ),
    ]);
    let tasks = listed(&runs, &TasksQuery::default());
    let [apart, flips, once] = &tasks[..] else {
        panic!("{tasks:?}");
    };
    assert_eq!((apart.flip_rate.value, apart.flip_rate.n), (Some(0.0), 2));
    let flip = flips.flip_rate;
    assert_eq!((flip.value, flip.n, flip.of), (Some(1.0), 1, 2));
    assert_eq!((once.flip_rate.value, once.rate), (None, None));
    assert_eq!((once.trials, once.ended, once.runs), (1, 0, 1));
    let rate = apart.rate.unwrap();
    assert_eq!((rate.solved, rate.attempts), (2, 4));
    // By Wilson's formula, apart from this crate.
    assert!(
        (rate.low - 0.150_038_989_152_149_58).abs() < 1e-9,
        "{rate:?}"
    );
    assert_eq!((apart.runs, apart.configurations), (2, 2));
    assert_eq!(apart.last_change, None);
    let change = flips.last_change.as_ref().unwrap();
    assert_eq!(
        (change.run_id.as_str(), change.at.as_deref()),
        ("r2", Some(MONDAY))
    );
    assert_eq!((change.before.solved, change.after.solved), (1, 0));
    assert_eq!(flips.last_at.as_deref(), Some(MONDAY));
}

#[test]
fn tasks_come_in_the_order_asked_for_and_unknown_ones_last() {
    let cost = |task: &str, solved, cost_usd| TrialFacts {
        cost_usd,
        dataset: "d".into(),
        ..trial("x", task, Some(solved), SUNDAY)
    };
    let runs = facts(&[(
        "r",
        vec![
            cost("b-hard", false, Some(1.0)),
            cost("a-easy", true, Some(3.0)),
            cost("c-free", true, None),
            trial("x", "other", None, SUNDAY),
        ],
    )]);
    let names = |sort: &str, limit, offset| -> Vec<String> {
        let mut query = TasksQuery {
            sort: TaskSort::parse(sort).unwrap(),
            datasets: vec!["D".to_owned()],
            ..TasksQuery::default()
        };
        (query.filter.limit, query.filter.offset) = (limit, offset);
        let tasks = listed(&runs, &query);
        tasks.into_iter().map(|task| task.task).collect()
    };
    assert_eq!(names("name", 0, 0), ["a-easy", "b-hard", "c-free"]);
    assert_eq!(names("-name", 1, 1), ["b-hard"]);
    assert_eq!(names("difficulty", 0, 0), ["b-hard", "a-easy", "c-free"]);
    assert_eq!(names("cost", 0, 0), ["a-easy", "b-hard", "c-free"]);
    assert_eq!(names("-cost", 0, 0), ["b-hard", "a-easy", "c-free"]);
    let query = TasksQuery {
        search: Some("HARD".to_owned()),
        ..TasksQuery::default()
    };
    let (tasks, total) = list(&runs, &query, &RuleSet::with_built_in(Vec::new()));
    assert_eq!((tasks[0].task.as_str(), total), ("b-hard", 1));
}

#[test]
fn a_history_has_a_row_for_each_run_or_week_and_the_newest_ones_if_it_is_cut() {
    let runs = facts(&[
        ("r1", vec![trial("x", "t", Some(true), SUNDAY)]),
        (
            "r2",
            vec![
                trial("x", "t", Some(false), SUNDAY),
                trial("y", "t", Some(true), MONDAY),
            ],
        ),
    ]);
    let rules = RuleSet::with_built_in(Vec::new());
    let mut query = TaskHistoryQuery::of_task("t");
    let found = history(&runs, &query, &rules);
    let shares: Vec<_> = found
        .rows
        .iter()
        .map(|row| (row.solved, row.known))
        .collect();
    assert_eq!(shares, [(1, 1), (1, 2)]);
    assert_eq!(found.rows[1].agents, ["x", "y"]);
    assert_eq!((found.tasks.len(), found.tasks[0].trials), (1, 3));
    query.filter.limit = 1;
    let found = history(&runs, &query, &rules);
    assert_eq!((found.rows.len(), found.rows_total), (1, 2));
    assert_eq!(found.rows[0].run_id.as_deref(), Some("r2"));
    query.by = HistoryBy::Week;
    query.filter.limit = 0;
    let found = history(&runs, &query, &rules);
    let weeks: Vec<_> = found
        .rows
        .iter()
        .map(|row| (row.from.as_deref().unwrap(), row.runs, row.trials))
        .collect();
    assert_eq!(
        weeks,
        [
            ("2026-11-23T00:00:00.000Z", 2, 2),
            ("2026-11-30T00:00:00.000Z", 1, 1)
        ]
    );
}
