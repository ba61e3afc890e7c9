//! The plan alone.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;
use proptest::prelude::*;

use crate::capabilities::Capabilities;
use crate::due_times::DueTimes;
use crate::fetch_key::FetchKey;
use crate::options::Options;
use crate::plan::{Work, plan};
use crate::plan_input::PlanInput;
use crate::watched_resources::WatchedResources;
use docksd_mirror::{ActiveRun, ListState, Resource, Summary, TrialsDue};
use docksd_remote::RemoteProperties;

const NOW: Duration = Duration::from_secs(5_000);

#[derive(Debug, Clone)]
struct Scenario {
    summary: Summary,
    watched: Vec<usize>,
    just_ended: HashSet<String>,
    sweeps: [Option<Duration>; 2],
    metered: bool,
    catching_up: bool,
}

fn scenarios() -> impl Strategy<Value = Scenario> {
    (
        prop::collection::vec((any::<bool>(), 0_u64..3_000), 0..20),
        0_usize..10,
        prop::collection::vec(0_usize..20, 0..5),
        any::<[bool; 4]>(),
    )
        .prop_map(|(active, due, watched, flags)| Scenario {
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
            just_ended: HashSet::from(["s1".to_owned()]),
            sweeps: [flags[0].then_some(NOW), flags[1].then_some(NOW)],
            metered: flags[2],
            catching_up: flags[3],
        })
}

proptest! {
    #[test]
    fn applying_a_plan_leaves_nothing_to_plan(mut scenario in scenarios()) {
        let options = Options::default();
        let capabilities = Capabilities::default();
        let mut due_times = DueTimes::default();
        let mut watched = WatchedResources::default();
        for n in &scenario.watched {
            watched.mark(&Resource::Trials(format!("r{n}")), NOW);
        }
        for round in 0..3 {
            let input = PlanInput {
                now: NOW,
                properties: RemoteProperties { kind: "docks_api", metered: scenario.metered, whole_lists: false },
                options: &options,
                capabilities: &capabilities,
                summary: &scenario.summary,
                watched: &watched,
                notifies_changes: false,
                is_reading: false,
                due_times: &due_times,
                just_ended: &scenario.just_ended,
                rechecks: &HashMap::new(),
                sweeps: scenario.sweeps,
                catching_up: scenario.catching_up,
                all_trials: true,
                all_trials_asked: None,
            };
            let due: Vec<Work> = plan(&input)
                .into_iter()
                .filter(|planned| planned.due <= NOW)
                .map(|planned| planned.work)
                .collect();
            // Sweeps wait for both polls, so they come in the second round.
            prop_assert!(round < 2 || due.is_empty(), "{:?}", due);
            for work in due {
                due_times.record_answer(&work.key(), NOW, 0.5);
                match work {
                    Work::PollList(kind) => due_times.record_answer(&FetchKey::ListPart(kind), NOW, 0.5),
                    Work::FetchRun(_, id) => { scenario.just_ended.remove(&id); }
                    Work::Sweep(kind) => scenario.sweeps[usize::from(kind == RunKind::Evaluation)] = None,
                    Work::FetchTrials(run) => scenario.summary.trials_due.retain(|due| due.run != run),
                }
            }
        }
    }
}
