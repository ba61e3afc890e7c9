//! The plan by itself.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;
use proptest::prelude::*;

use crate::capabilities::Capabilities;
use crate::due_times::Schedule;
use crate::plan::{Chore, Options, Situation, plan};
use crate::task::FetchKey;
use crate::watched_resources::Interest;
use docksd_mirror::{ActiveRun, ListState, Resource, Summary, TrialsDue};
use docksd_remote::RemoteProperties;

const NOW: Duration = Duration::from_secs(5_000);

#[derive(Debug, Clone)]
struct Given {
    summary: Summary,
    watched: Vec<usize>,
    settling: HashSet<String>,
    sweeps: [Option<Duration>; 2],
    metered: bool,
    catching_up: bool,
}

fn given() -> impl Strategy<Value = Given> {
    (
        prop::collection::vec((any::<bool>(), 0_u64..3_000), 0..20),
        0_usize..10,
        prop::collection::vec(0_usize..20, 0..5),
        any::<[bool; 4]>(),
    )
        .prop_map(|(active, due, watched, flags)| Given {
            summary: Summary {
                lists: RunKind::ALL
                    .map(|kind| ListState {
                        kind,
                        confirmation: None,
                        rows: 3_000,
                    })
                    .into(),
                active: active
                    .iter()
                    .enumerate()
                    .map(|(n, (evaluation, newer_rows))| ActiveRun {
                        kind: if *evaluation {
                            RunKind::Evaluation
                        } else {
                            RunKind::Run
                        },
                        id: format!("r{n}"),
                        status: "running".into(),
                        confirmed_at: UnixMs(0),
                        newer_rows: *newer_rows,
                    })
                    .collect(),
                trials_due: (0..due)
                    .map(|n| TrialsDue {
                        run: format!("d{n}"),
                        ended: true,
                        trials_confirmed_at: None,
                    })
                    .collect(),
                trials_due_total: due as u64,
            },
            watched,
            settling: HashSet::from(["s1".to_owned()]),
            sweeps: [flags[0].then_some(NOW), flags[1].then_some(NOW)],
            metered: flags[2],
            catching_up: flags[3],
        })
}

proptest! {
    #[test]
    fn applying_a_plan_leaves_nothing_to_plan(mut given in given()) {
        let options = Options::default();
        let facts = Capabilities::default();
        let mut schedule = Schedule::default();
        let mut interest = Interest::default();
        for n in &given.watched {
            interest.touch(&Resource::Trials(format!("r{n}")), NOW);
        }
        for round in 0..3 {
            let situation = Situation {
                now: NOW,
                traits: RemoteProperties { kind: "docks_api", metered: given.metered, whole_lists: false },
                options: &options,
                facts: &facts,
                summary: &given.summary,
                interest: &interest,
                followed: false,
                schedule: &schedule,
                settling: &given.settling,
                rechecks: &HashMap::new(),
                sweeps: given.sweeps,
                catching_up: given.catching_up,
                all_trials: true,
            };
            let due: Vec<Chore> = plan(&situation)
                .into_iter()
                .filter(|planned| planned.due <= NOW)
                .map(|planned| planned.chore)
                .collect();
            // Sweeps wait for the heads, and so come in the second round.
            prop_assert!(round < 2 || due.is_empty(), "{:?}", due);
            for chore in due {
                schedule.answered(&chore.want(), NOW, 0.5);
                match chore {
                    Chore::Poll(kind) => schedule.answered(&FetchKey::Window(kind), NOW, 0.5),
                    Chore::Check(_, id) => { given.settling.remove(&id); }
                    Chore::Sweep(kind) => given.sweeps[usize::from(kind == RunKind::Evaluation)] = None,
                    Chore::Trials(run) => given.summary.trials_due.retain(|due| due.run != run),
                }
            }
        }
    }
}
