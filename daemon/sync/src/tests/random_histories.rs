//! Any history and any faults, then no more of them: the mirror equals the remote.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use docks_proto::object::{Lifecycle, lifecycle};
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;

use docksd_mirror::Resource;

use super::driver::{Driver, id_of};
use super::remote_habits::{Fault, Habits, Run};
use super::simulated_remote::World;

/// Steps of one history.
const STEPS: usize = 30;

pub(super) struct History {
    pub(super) rng: fastrand::Rng,
    pub(super) made: u64,
}

impl History {
    pub(super) fn change(&mut self, world: &mut World) {
        let lags = world.fault == Fault::Lag;
        if !lags {
            world.before = world.runs.clone();
        }
        for _ in 0..self.rng.usize(1..4) {
            self.change_once(&mut world.runs);
        }
    }

    fn change_once(&mut self, runs: &mut [Vec<Run>; 2]) {
        let which = self.rng.usize(..2);
        let list = &mut runs[which];
        let pick = self.rng.usize(..list.len().max(1));
        match self.rng.u8(..10) {
            0..4 => {
                self.made += 1;
                let trials = (0..self.rng.usize(..4))
                    .map(|n| (format!("t{n}"), ("pending", 0)))
                    .collect::<BTreeMap<_, _>>();
                list.push(Run {
                    id: format!("r{}", self.made),
                    status: "pending",
                    made: self.made,
                    version: 0,
                    updated: 0,
                    trials,
                });
            }
            4..9 if pick < list.len() => {
                let run = &mut list[pick];
                if lifecycle(run.status) == Lifecycle::Terminal {
                    return;
                }
                run.version += 1;
                run.updated += 1;
                run.status = self
                    .rng
                    .choice(["running", "running", "completed", "failed"])
                    .unwrap();
                let ended = lifecycle(run.status) == Lifecycle::Terminal;
                for (status, version) in run.trials.values_mut() {
                    if ended || self.rng.bool() {
                        *status = if ended { "passed" } else { "running" };
                        *version += 1;
                    }
                }
            }
            9 if pick < list.len() && self.rng.bool() => {
                list.remove(pick);
            }
            _ => {}
        }
    }

    pub(super) fn fault(&mut self) -> Fault {
        let faults = [
            Fault::None,
            Fault::None,
            Fault::Outage,
            Fault::Error500,
            Fault::RateLimited(Some(3)),
            Fault::RateLimited(None),
            Fault::RateLimited(Some(u64::MAX / 4)),
            Fault::Refused401,
            Fault::Empty,
            Fault::Lag,
            Fault::Flaky,
        ];
        *self.rng.choice(&faults).unwrap()
    }
}

/// Checks what must never go back.
#[derive(Default)]
struct Invariants {
    as_of: [UnixMs; 2],
    ended: HashMap<String, String>,
    gone: std::collections::HashSet<String>,
    lagged: bool,
}

impl Invariants {
    async fn check(&mut self, driver: &Driver) {
        for (place, kind) in RunKind::ALL.into_iter().enumerate() {
            let confirmed = driver
                .mirror
                .confirmation(&Resource::List(kind))
                .await
                .unwrap();
            if let Some(confirmed) = confirmed {
                assert!(confirmed.at >= self.as_of[place], "as_of went back");
                self.as_of[place] = confirmed.at;
            }
            let known: Vec<String> = self.ended.keys().cloned().collect();
            let mut live = std::collections::HashSet::new();
            for text in driver.rows(kind).await {
                let id = id_of(&text);
                let status = text.split('"').nth(7).unwrap().to_owned();
                if let Some(ended) = self.ended.get(&id) {
                    assert!(
                        self.lagged || *ended == status,
                        "{id} is active again after its end"
                    );
                }
                assert!(self.lagged || !self.gone.contains(&id), "{id} is back");
                if lifecycle(&status) == Lifecycle::Terminal {
                    self.ended.insert(id.clone(), status);
                }
                live.insert(id);
            }
            for id in known {
                let stored = driver.mirror.run(kind, &id).await.unwrap();
                if stored.is_some_and(|s| s.gone_at.is_some()) {
                    self.gone.insert(id);
                }
            }
        }
    }
}

async fn simulate(seed: u64, habits: Habits) {
    let mut driver = Driver::new(habits, seed).await;
    let mut history = History {
        rng: fastrand::Rng::with_seed(seed),
        made: 0,
    };
    let mut invariants = Invariants::default();
    for _ in 0..STEPS {
        if history.rng.u8(..4) == 0 {
            let fault = history.fault();
            invariants.lagged |= fault == Fault::Lag;
            driver.edit(|world| world.fault = fault);
        }
        driver.edit(|world| history.change(world));
        if history.rng.u8(..8) == 0 {
            let jump = history.rng.i64(-400_000_000_000..400_000_000_000);
            driver.clock.jump_wall(jump);
        }
        let pause = Duration::from_millis(history.rng.u64(100..15_000));
        driver.run_for(pause).await;
        invariants.check(&driver).await;
    }
    driver.edit(|world| world.fault = Fault::None);
    // Longer than the longest `Retry-After` that is honoured.
    driver.run_for(Duration::from_secs(700)).await;
    for _ in 0..2 {
        let now = driver.now();
        driver.state.request_sweep(now);
        driver.run_for(Duration::from_secs(200)).await;
        invariants.check(&driver).await;
    }
    if let Some(difference) = driver.difference().await {
        let plan = {
            let now = driver.now();
            driver.state.plan(now)
        };
        panic!(
            "circuit {:?} seed {seed}, {habits:?}: {difference}\nplan {plan:?}",
            driver.state.circuit.state()
        );
    }
}

/// Returns which histories to run: as many as `DOCKS_SIM_SEEDS` says, or a range as `379..380`.
pub(super) fn seeds(default: u64) -> std::ops::Range<u64> {
    let setting = std::env::var("DOCKS_SIM_SEEDS").unwrap_or_default();
    let number = |text: &str| text.parse::<u64>().ok();
    match setting.split_once("..") {
        Some((from, to)) => number(from).unwrap()..number(to).unwrap(),
        None => 0..number(&setting).unwrap_or(default),
    }
}

#[tokio::test]
async fn after_any_history_and_any_faults_the_mirror_equals_the_remote() {
    let all_habits = Habits::all();
    for seed in seeds(48) {
        let habits = all_habits[usize::try_from(seed).unwrap() % all_habits.len()];
        simulate(seed, habits).await;
    }
}
