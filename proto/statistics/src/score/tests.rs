use docks_proto::score::{RowKey, ScoreRow};

use super::*;
use crate::trial::encode;

fn trial(agent: &str, model: &str, task: &str, solved: bool) -> TrialFacts<'static> {
    TrialFacts {
        task: task.to_owned().into(),
        agent: format!("{agent} ({model})").into(),
        model: model.to_owned().into(),
        ended: true,
        graded: true,
        valid: true,
        counts: true,
        solved: Some(solved),
        counted_reward: Some(f64::from(u8::from(solved))),
        cost_usd: Some(0.5),
        ..TrialFacts::default()
    }
}

fn list(runs: &[(&str, Vec<TrialFacts<'static>>)]) -> FactsList {
    let mut list = FactsList::default();
    for (run, trials) in runs {
        list.begin_run(RunFacts {
            id: (*run).to_owned(),
            is_complete: true,
            ..RunFacts::default()
        });
        for trial in trials {
            assert!(list.push(&encode(trial)));
        }
    }
    list
}

fn by(keys: &[ScoreKey]) -> ScoreQuery {
    ScoreQuery {
        by: keys.to_vec(),
        ..ScoreQuery::default()
    }
}

fn scored(list: &FactsList, query: &ScoreQuery) -> ScoreReport {
    score(list, query, &RuleSet::with_built_in(Vec::new()))
}

fn names(rows: &[ScoreRow]) -> Vec<String> {
    let name = |key: &RowKey| {
        let parts = [&key.agent, &key.model, &key.dataset, &key.run];
        let parts: Vec<&str> = parts.into_iter().flatten().map(String::as_str).collect();
        parts.join("/")
    };
    rows.iter().map(|row| name(&row.key)).collect()
}

#[test]
fn rows_are_what_was_asked_for_with_the_attempts_of_all_runs() {
    let first = vec![trial("x", "m", "a", true), trial("x", "m", "b", false)];
    let second = vec![
        trial("x", "m", "a", true),
        trial("x", "n", "a", false),
        trial("y", "n", "b", true),
    ];
    let list = list(&[("r1", first), ("r2", second)]);
    let board = scored(&list, &ScoreQuery::default());
    assert_eq!(names(&board.rows), ["y/n", "x/m", "x/n"]);
    let both = &board.rows[1];
    let rate = both.rate.unwrap();
    assert_eq!((rate.solved, rate.attempts, rate.tasks), (2, 3, 2));
    assert_eq!((both.runs, both.trials, both.solved), (2, 3, 2));
    assert_eq!(both.cost_per_solved_usd.value, Some(0.75));
    // Of task a alone there are two attempts.
    let at_two = both.pass_at_k.iter().find(|figure| figure.k == 2).unwrap();
    assert_eq!((at_two.value, at_two.n, at_two.of), (Some(1.0), 1, 2));
    assert_eq!(
        names(&scored(&list, &by(&[ScoreKey::Agent])).rows),
        ["y", "x"]
    );
    let by_run = scored(&list, &by(&[ScoreKey::Run, ScoreKey::Model]));
    assert_eq!(names(&by_run.rows), ["m/r2", "m/r1", "n/r2"]);
    let runs: Vec<u64> = board.runs.iter().map(|run| run.trials).collect();
    assert_eq!((runs, board.tasks_common), (vec![2, 3], 0));
}

#[test]
fn a_lead_is_alone_or_shared_and_never_without_a_rival_or_a_success() {
    let run = vec![
        trial("x", "m", "alone", true),
        trial("y", "m", "alone", false),
        trial("x", "m", "shared", true),
        trial("y", "m", "shared", true),
        trial("x", "m", "nobody", false),
        trial("y", "m", "nobody", false),
        trial("x", "m", "untried", true),
    ];
    let board = scored(&list(&[("r", run)]), &ScoreQuery::default());
    assert_eq!(names(&board.rows), ["x/m", "y/m"]);
    let leads: Vec<_> = board
        .rows
        .iter()
        .map(|row| (row.leads, row.shares_lead))
        .collect();
    assert_eq!(leads, [(1, 1), (0, 1)]);
    let leaders: Vec<_> = board
        .tasks
        .iter()
        .map(|task| (task.task.as_str(), task.leaders.clone()))
        .collect();
    let expected = [
        ("alone", vec![0]),
        ("nobody", vec![]),
        ("shared", vec![0, 1]),
        ("untried", vec![]),
    ];
    assert_eq!(leaders, expected);
    assert_eq!(board.tasks_common, 3);
    assert_eq!(board.tasks[3].rows[1], None);
}

#[test]
fn the_frontier_is_of_rows_whose_cost_is_known() {
    let run: Vec<_> = [
        // Solved of two, and what each cost.
        ("best", 2, Some(2.0)),
        ("dear", 1, Some(1.0)),
        ("cheap", 1, Some(0.1)),
        ("worst", 0, Some(0.1)),
        ("secret", 2, None),
    ]
    .iter()
    .flat_map(|&(agent, solved, cost_usd)| {
        ["a", "b"]
            .iter()
            .enumerate()
            .map(move |(at, task)| TrialFacts {
                cost_usd,
                ..trial(agent, "m", task, at < solved)
            })
    })
    // It failed before its agent began, and so cost nothing that anybody knows.
    .chain([TrialFacts {
        cost_usd: None,
        valid: false,
        exceptions: vec!["EnvironmentStartTimeoutError".into()],
        ..trial("best", "m", "c", false)
    }])
    .collect();
    let board = scored(&list(&[("r", run)]), &by(&[ScoreKey::Agent]));
    let found: Vec<_> = names(&board.rows)
        .into_iter()
        .zip(board.rows.iter().map(|row| row.frontier))
        .collect();
    let expected = [
        ("secret", None),
        ("best", Some(true)),
        ("cheap", Some(true)),
        ("dear", Some(false)),
        ("worst", Some(false)),
    ];
    let expected = expected.map(|(name, frontier)| (name.to_owned(), frontier));
    assert_eq!(found, expected);
    let best = &board.rows[1];
    assert_eq!(best.infrastructure, 1);
    assert_eq!(
        (best.cost_per_trial_usd.n, best.cost_per_trial_usd.of),
        (2, 3)
    );
}

#[test]
fn tasks_of_one_name_in_two_datasets_are_two_tasks() {
    let of = |dataset: &'static str, solved| TrialFacts {
        dataset: dataset.into(),
        ..trial("x", "m", "hello", solved)
    };
    let list = list(&[
        ("r1", vec![of("small", true), of("", true)]),
        ("r2", vec![of("large", false)]),
    ]);
    let board = scored(&list, &ScoreQuery::default());
    let tasks: Vec<&str> = board.tasks.iter().map(|task| task.task.as_str()).collect();
    assert_eq!(tasks, ["hello", "large/hello", "small/hello"]);
    let query = ScoreQuery {
        datasets: vec!["SMALL".to_owned()],
        ..ScoreQuery::default()
    };
    let board = scored(&list, &query);
    assert_eq!((board.tasks.len(), board.rows[0].trials), (1, 1));
    assert_eq!(board.runs.len(), 2);
    assert_eq!(scored(&FactsList::default(), &query).rows, []);
}
