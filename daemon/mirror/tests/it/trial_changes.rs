//! Changes of a list of trials: the outcome is the list stored whole, or nothing was written.

use std::collections::{BTreeMap, BTreeSet};

use docks_proto::freshness::Validator;
use docks_proto::object::RawObject;
use docks_proto::time::UnixMs;
use docks_proto::trial_changes::{ChangedTrial, TrialChanges, TrialPlace};
use docksd_mirror::{Mirror, Provenance, WriteSummary};
use proptest::prelude::*;

use crate::support::{TestMirror, body, everything, run_object, store_runs};

/// Trials by id, each with a number that stands for its content, in the order of the list.
type List = Vec<(u8, u8)>;

fn trial((id, content): (u8, u8)) -> RawObject {
    let status = ["running", "passed", "failed"][usize::from(content % 3)];
    run_object(
        &format!("t{id}"),
        status,
        &format!(r#","name":"v{content}""#),
    )
}

/// A content that differs by these bits moves the trial, too.
const MOVES: [u8; 3] = [1, 2, 7];

fn version(n: usize) -> Validator {
    Validator(format!("\"{n}\""))
}

/// Returns how a list differs from an earlier one in which the trials of both have the same order, but for those that
/// moved and have another content.
fn changes(base: usize, before: &List, after: &List) -> TrialChanges {
    let earlier: BTreeMap<u8, u8> = before.iter().copied().collect();
    let mut previous = None;
    let mut changed = Vec::new();
    for (id, content) in after {
        let place = match earlier.get(id) {
            Some(old) if old == content => None,
            Some(old) if !MOVES.contains(&(old ^ content)) => Some(TrialPlace::Kept),
            _ => Some(TrialPlace::After(previous.clone())),
        };
        let object = trial((*id, *content));
        changed.extend(place.map(|place| ChangedTrial { object, place }));
        previous = Some(format!("t{id}"));
    }
    let gone = |(id, _): &&(u8, u8)| !after.iter().any(|(other, _)| other == id);
    TrialChanges {
        base: version(base),
        changed,
        removed: before
            .iter()
            .filter(gone)
            .map(|(id, _)| format!("t{id}"))
            .collect(),
        active: after.iter().filter(|(_, content)| content % 3 == 0).count() as u64,
    }
}

async fn replace(mirror: &Mirror, at: i64, list: &List, validator: Validator) -> WriteSummary {
    let objects = list.iter().copied().map(trial).collect();
    let (at, validator) = (UnixMs(at), Some(validator));
    let written = mirror.replace_trials("r", objects, at, validator, Provenance::Event);
    written.await.unwrap()
}

async fn change(
    mirror: &Mirror,
    at: i64,
    changes: TrialChanges,
    validator: Validator,
) -> WriteSummary {
    let written = mirror.change_trials("r", changes, UnixMs(at), validator, Provenance::Event);
    written.await.unwrap()
}

async fn listed(mirror: &Mirror) -> (String, u64) {
    let listing = mirror
        .list_trials("r", &everything())
        .await
        .unwrap()
        .unwrap();
    (body(&listing), listing.total)
}

fn whole(list: &List) -> (String, u64) {
    let texts: Vec<String> = list.iter().map(|t| trial(*t).text().to_owned()).collect();
    (format!("[{}]", texts.join(",")), list.len() as u64)
}

/// One step: what is removed, what gets another content, and what is added where.
type Edit = (Vec<u8>, Vec<(u8, u8)>, Vec<(u8, u8, u8)>);

fn any_edit() -> impl Strategy<Value = Edit> {
    (
        prop::collection::vec(0u8..30, 0..3),
        prop::collection::vec((0u8..30, 0u8..9), 0..4),
        prop::collection::vec((0u8..60, 0u8..9, 0u8..40), 0..4),
    )
}

fn edited(list: &List, (removed, changed, added): &Edit) -> List {
    let mut list = list.clone();
    // An empty list means something else.
    if list.len() > removed.len() {
        list.retain(|(id, _)| !removed.contains(id));
    }
    let mut seen = BTreeSet::new();
    for (id, content) in changed {
        // Twice changed, its last content need not tell that it moved.
        if !seen.insert(*id) {
            continue;
        }
        let Some(at) = list.iter().position(|(other, _)| other == id) else {
            continue;
        };
        let old = std::mem::replace(&mut list[at].1, *content);
        if MOVES.contains(&(old ^ content)) {
            let moved = list.remove(at);
            list.insert(usize::from(content * 5) % (list.len() + 1), moved);
        }
    }
    for (id, content, place) in added {
        if !list.iter().any(|(other, _)| other == id) && !removed.contains(id) {
            let place = usize::from(*place) % (list.len() + 1);
            list.insert(place, (*id, *content));
        }
    }
    list
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn changes_lead_to_the_list_that_is_stored_whole(
        edits in prop::collection::vec(any_edit(), 1..20),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let files = TestMirror::new();
        runtime.block_on(async {
            let mirror = files.open();
            store_runs(&mirror, 1_000, vec![run_object("r", "running", "")]).await;
            let mut list: List = (0..10).map(|id| (id, 0)).collect();
            let (mut at, mut refused) = (1_000, 0);
            replace(&mirror, at, &list, version(0)).await;
            for (n, edit) in edits.iter().enumerate() {
                at += 10;
                let next = edited(&list, edit);
                let changes = changes(n, &list, &next);
                let active = changes.active;
                let written = change(&mirror, at, changes, version(n + 1)).await;
                prop_assert_eq!(written.active, active);
                if written.has_other_base {
                    refused += 1;
                    // There was no room where a trial was added.
                    prop_assert_eq!(listed(&mirror).await, whole(&list));
                    replace(&mirror, at, &next, version(n + 1)).await;
                }
                prop_assert_eq!(listed(&mirror).await, whole(&next));
                list = next;
            }
            prop_assert!(refused <= edits.len() / 3, "{} of {}", refused, edits.len());
            mirror.close().await;
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn changes_of_another_version_write_nothing() {
    let files = TestMirror::new();
    let mirror = files.open();
    store_runs(&mirror, 1_000, vec![run_object("r", "running", "")]).await;
    let before: List = vec![(1, 0), (2, 0), (3, 0)];
    let after: List = vec![(1, 0), (2, 1)];
    let none = change(&mirror, 1_000, changes(0, &before, &after), version(1)).await;
    assert!(none.has_other_base, "no list is stored");
    replace(&mirror, 1_000, &before, version(7)).await;
    let other = change(&mirror, 1_010, changes(0, &before, &after), version(1)).await;
    assert!(other.has_other_base);
    assert_eq!(listed(&mirror).await, whole(&before));

    // A trial that was stored by itself makes another list of it.
    let (object, alone) = (trial((1, 2)), UnixMs(1_020));
    let stored = mirror.upsert_trial("r", object, alone, Provenance::Polled);
    assert_eq!(stored.await.unwrap().updated, 1);
    let mixed = change(&mirror, 1_030, changes(7, &before, &after), version(8)).await;
    assert!(mixed.has_other_base);
    assert_eq!(
        listed(&mirror).await,
        whole(&vec![(1, 2), (2, 0), (3, 0)]),
        "nothing was written"
    );

    replace(&mirror, 1_040, &before, version(9)).await;
    let older = change(&mirror, 1_030, changes(9, &before, &after), version(10)).await;
    assert!(!older.has_other_base);
    assert_eq!(listed(&mirror).await, whole(&before), "they are older");
    let stray = TrialChanges {
        changed: vec![ChangedTrial {
            object: trial((9, 0)),
            place: TrialPlace::After(Some("t8".to_owned())),
        }],
        ..changes(9, &before, &before)
    };
    let stray = change(&mirror, 1_050, stray, version(10)).await;
    assert!(stray.has_other_base, "no trial has the id of its neighbour");
    let fitting = change(&mirror, 1_060, changes(9, &before, &after), version(10)).await;
    assert_eq!((fitting.updated, fitting.removed), (1, 1));
    assert_eq!(listed(&mirror).await, whole(&after));
    mirror.close().await;
}
