//! What figures are made of: the facts of trials, as they are stored and read.

use docks_proto::query::{ListKind, ListQuery};
use docks_proto::time::UnixMs;
use docks_statistics::trial::FactsList;
use docksd_mirror::{AgeOfTrials, FactsAtTask, FactsSelection, Mirror, Provenance};

use crate::support::*;

async fn store_trials(mirror: &Mirror, run: &str, at: i64, trials: &[(&str, &str)]) {
    let object = |(id, status): &(&str, &str)| {
        object(&format!(
            r#"{{"id":"{id}","task_slug":"sum","agent_variant":"coder","status":"{status}","result_data":{{"reward":1}}}}"#
        ))
    };
    let trials = trials.iter().map(object).collect();
    let stored = mirror.replace_trials(run, trials, UnixMs(at), None, Provenance::Polled);
    stored.await.unwrap();
}

fn lines(facts: &FactsList) -> Vec<String> {
    let trials = facts.trials();
    let line = trials.map(|(run, trial)| {
        format!(
            "{} {} {} {:?}",
            run.id, trial.id, trial.status, trial.solved
        )
    });
    line.collect()
}

async fn read(mirror: &Mirror, selection: FactsSelection) -> Vec<String> {
    lines(&mirror.trial_facts(selection).await.unwrap().0)
}

async fn two_runs(test: &TestMirror) -> Mirror {
    let mirror = test.open();
    let old = run_object(
        "old",
        "completed",
        r#","created_at":"2026-01-01T00:00:00Z""#,
    );
    let new = run_object("new", "running", r#","created_at":"2026-01-02T00:00:00Z""#);
    store_runs(&mirror, 5, vec![new, old]).await;
    store_trials(&mirror, "new", 10, &[("b", "failed"), ("a", "passed")]).await;
    store_trials(&mirror, "old", 10, &[("a", "passed"), ("z", "running")]).await;
    mirror
}

#[tokio::test]
async fn facts_of_some_runs_or_of_all_are_read_in_the_remotes_order() {
    let test = TestMirror::new();
    let mirror = two_runs(&test).await;
    let all = read(&mirror, FactsSelection::All).await;
    assert_eq!(
        all,
        [
            "old a passed Some(true)",
            "old z running None",
            "new b failed Some(false)",
            "new a passed Some(true)"
        ]
    );
    let ids = ["new", "gone", "old"].map(str::to_owned).to_vec();
    let some = read(&mirror, FactsSelection::Ids(ids)).await;
    assert_eq!(some, [&all[2..], &all[..2]].concat());
    let (facts, unread) = mirror.trial_facts(FactsSelection::All).await.unwrap();
    let complete: Vec<bool> = facts.runs().map(|(run, _)| run.is_complete).collect();
    assert_eq!((complete, unread), (vec![true, true], 0));
    mirror.close().await;
}

#[tokio::test]
async fn trials_that_are_gone_and_those_of_runs_that_are_gone_are_left_out() {
    let test = TestMirror::new();
    let mirror = two_runs(&test).await;
    store_trials(&mirror, "new", 20, &[("a", "failed"), ("c", "passed")]).await;
    assert_eq!(
        read(&mirror, FactsSelection::Ids(vec!["new".to_owned()])).await,
        ["new a failed Some(false)", "new c passed Some(true)"]
    );
    test.sqlite()
        .execute("UPDATE runs SET gone_ms = 30 WHERE id = 'new'", [])
        .unwrap();
    assert_eq!(read(&mirror, FactsSelection::All).await.len(), 2);
    mirror.close().await;
}

#[tokio::test]
async fn facts_that_an_earlier_release_left_out_are_read_from_texts_and_filled_by_a_sweep() {
    let test = TestMirror::new();
    let mirror = two_runs(&test).await;
    let expected = read(&mirror, FactsSelection::All).await;
    let sqlite = test.sqlite();
    let count = |what: &str| -> i64 {
        let sql = format!("SELECT count(*) FROM trials WHERE {what}");
        sqlite.query_row(&sql, [], |row| row.get(0)).unwrap()
    };
    for written in ["NULL", "x'00ff'", "'text'"] {
        sqlite
            .execute(&format!("UPDATE trials SET facts = {written}"), [])
            .unwrap();
        assert_eq!(
            read(&mirror, FactsSelection::All).await,
            expected,
            "{written}"
        );
    }
    assert_eq!(count("typeof(facts) = 'blob'"), 0);
    mirror.verify().await.unwrap();
    assert_eq!(count("typeof(facts) = 'blob'"), 4);
    assert_eq!(read(&mirror, FactsSelection::All).await, expected);
    mirror.close().await;
}

#[tokio::test]
async fn runs_whose_trials_are_not_mirrored_are_counted() {
    let test = TestMirror::new();
    let mirror = two_runs(&test).await;
    let more = run_object("more", "completed", "");
    store_runs(&mirror, 30, vec![more]).await;
    let (facts, unread) = mirror.trial_facts(FactsSelection::All).await.unwrap();
    assert_eq!((facts.runs().count(), unread), (2, 1));
    mirror.close().await;
}

#[tokio::test]
async fn facts_are_filtered_as_lists_of_trials_are() {
    let test = TestMirror::new();
    let mirror = two_runs(&test).await;
    for (text, expected) in [
        ("", "azba"),
        ("status=PASSED", "aa"),
        ("task=SUM&status=failed", "b"),
        ("task=other", ""),
        ("agent=coder&status=running", "z"),
        ("q=B", "b"),
        ("reward=<1", ""),
        ("error=none&limit=1&offset=1", "azba"),
    ] {
        let query = ListQuery::parse(ListKind::AllTrials, text, 0).unwrap();
        let whole = ListQuery {
            limit: 0,
            offset: 0,
            ..query.clone()
        };
        let listed = mirror.list_all_trials(&whole, AgeOfTrials::All);
        assert_eq!(listed.await.unwrap().total, expected.len() as u64, "{text}");
        let read = |selection| mirror.matching_trial_facts(selection, &query, AgeOfTrials::All);
        let (facts, _) = read(FactsSelection::All).await.unwrap();
        let ids: String = facts.trials().map(|(_, trial)| trial.id).collect();
        assert_eq!(ids, expected, "{text}");
        // The runs are there, also without a trial.
        assert_eq!(facts.runs().count(), 2, "{text}");
        let of_new = FactsSelection::Ids(vec!["new".to_owned()]);
        let (facts, _) = read(of_new).await.unwrap();
        assert!(facts.trials().all(|(run, _)| run.id == "new"), "{text}");
    }
    mirror.close().await;
}

#[tokio::test]
async fn facts_at_one_task_are_those_that_all_trials_have_of_it() {
    let test = TestMirror::new();
    let mirror = two_runs(&test).await;
    // Of another task, gone, and of a run that is gone.
    let other = object(r#"{"id":"o","task_slug":"sum-up","status":"passed"}"#);
    let kept = object(r#"{"id":"k","task_slug":"sum","status":"failed"}"#);
    let run = run_object(
        "last",
        "completed",
        r#","created_at":"2026-01-03T00:00:00Z""#,
    );
    store_runs(&mirror, 15, vec![run]).await;
    let stored = vec![other, kept];
    let stored = mirror.replace_trials("last", stored, UnixMs(20), None, Provenance::Polled);
    stored.await.unwrap();
    store_trials(&mirror, "new", 20, &[("a", "passed"), ("c", "passed")]).await;
    let read = async |task: &str, text: &str| {
        let query = ListQuery::parse(ListKind::AllTrials, text, 0).unwrap();
        let reading = mirror.trial_facts_at_task(task, &query, AgeOfTrials::All);
        match reading.await.unwrap().0 {
            FactsAtTask::Found(facts) => lines(&facts),
            FactsAtTask::Ambiguous(tasks) => tasks,
            FactsAtTask::NotFound => vec!["not found".to_owned()],
        }
    };
    let all = [
        "old a passed Some(true)",
        "old z running None",
        "new a passed Some(true)",
        "new c passed Some(true)",
        "last k failed Some(false)",
    ];
    assert_eq!(read("SUM", "").await, all);
    assert_eq!(
        read("sum", "task=ignored&status=passed&limit=1").await,
        [all[0], all[2], all[3]]
    );
    assert_eq!(read("sum-", "").await, ["last o passed Some(true)"]);
    assert_eq!(read("s", "").await, ["sum", "sum-up"]);
    assert_eq!(read("x", "").await, ["not found"]);
    let sqlite = test.sqlite();
    for written in ["NULL", "x'00ff'", "'text'"] {
        let sql = format!("UPDATE trials SET facts = {written}");
        sqlite.execute(&sql, []).unwrap();
        assert_eq!(read("sum", "").await, all, "{written}");
    }
    let gone = "UPDATE runs SET gone_ms = 30 WHERE id = 'new'";
    sqlite.execute(gone, []).unwrap();
    assert_eq!(read("sum", "").await, [all[0], all[1], all[4]]);
    mirror.close().await;
}
