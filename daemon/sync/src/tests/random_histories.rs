//! Any history and any faults: no answer is older than it claims, history is kept as long as it should be,
//! and in the end, without faults, the mirror equals the remote.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;

use crate::circuit_breaker::State;
use crate::clock::Clock;
use crate::upkeep::is_missed;
use docksd_mirror::{Resource, Retention};

use super::driver::Driver;
use super::invariants::Invariants;
use super::random_changes::History;
use super::remote_habits::{Fault, Habits};
use super::versions::Versions;

/// Histories, unless the environment sets others.
const HISTORIES: u64 = 100;
const SEEDS_VARIABLE: &str = "DOCKS_SIM_SEEDS";
/// Steps of one history.
const STEPS: usize = 200;

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
/// A wrong clock is set right before it is believed, except in histories about that.
const SET_RIGHT_AFTER: Duration = Duration::from_secs(400);
/// Longer than the longest `Retry-After` that is honoured.
const LONGEST_PAUSE: Duration = Duration::from_secs(700);

struct Simulation {
    driver: Driver,
    history: History,
    invariants: Invariants,
    files: usize,
    /// How far the wall clock is ahead.
    wall_error_ms: i64,
    /// Since when it has been far from right.
    wrong_since: Option<Duration>,
    /// Whether a wrong clock may last until it is believed.
    wrong_clocks_last: bool,
    /// Highest error of a stored timestamp.
    stored_error_ms: i64,
    /// Whether the clock showed at start that it is behind what is stored.
    shows_behind: bool,
    disk_is_broken: bool,
    last_upkeep: Option<UnixMs>,
}

impl Simulation {
    async fn new(seed: u64, habits: Habits) -> Self {
        let driver = Driver::new(habits, seed).await;
        driver.world.lock().unwrap().versions = Some(Versions::default());
        let mut history = History::new(seed);
        history.lies = seed % 4 == 3;
        Self {
            driver,
            history,
            invariants: Invariants::default(),
            files: 0,
            wall_error_ms: 0,
            wrong_since: None,
            wrong_clocks_last: seed % 5 == 4,
            stored_error_ms: 0,
            shows_behind: false,
            disk_is_broken: false,
            last_upkeep: None,
        }
    }

    fn set_fault(&mut self, fault: Fault) {
        self.driver.edit(|world| world.fault = fault);
    }

    fn set_clock(&mut self, error_ms: i64) {
        self.driver.clock.jump_wall(error_ms - self.wall_error_ms);
        self.wall_error_ms = error_ms;
        self.shows_behind = false;
        let is_wrong = error_ms.unsigned_abs() > 2 * HOUR.as_millis() as u64;
        let real = self.driver.clock.real();
        self.wrong_since = is_wrong.then(|| self.wrong_since.unwrap_or(real));
    }

    /// Sets the clock a little wrong, or years.
    fn set_clock_wrong(&mut self) {
        let rng = &mut self.history.rng;
        let hours = HOUR.as_millis() as i64 * 2;
        let error = match rng.u8(..4) {
            0 => 0,
            1 => rng.i64(-hours..hours),
            _ => rng.i64(370..4_000) * DAY.as_millis() as i64 * *rng.choice(&[-1, 1]).unwrap(),
        };
        self.set_clock(error);
    }

    fn note_stored_errors(&mut self) {
        let stamp = self.driver.now().stamp;
        let error_ms = self.driver.clock.error_ms(stamp);
        self.stored_error_ms = self.stored_error_ms.max(error_ms);
    }

    async fn sleep(&mut self, time: Duration) {
        if !self.wrong_clocks_last {
            self.set_clock(0);
        }
        self.invariants.look(&self.driver).await;
        self.driver.clock.advance(time);
    }

    /// Starts the engine anew: after a kill, a power cut that loses some writes, or a boot with any clock.
    async fn start_again(&mut self) {
        self.invariants.look(&self.driver).await;
        self.note_stored_errors();
        let seed = self.history.rng.u64(..);
        let mut lost = 0;
        match self.history.rng.u8(..3) {
            0 => {}
            1 => lost = self.history.rng.u64(..30_000),
            _ => {
                if self.history.rng.bool() {
                    lost = self.history.rng.u64(..60_000);
                }
                let days = self.history.rng.u64(1..40);
                let off = *self
                    .history
                    .rng
                    .choice(&[20, 3_600, days * 86_400])
                    .unwrap();
                self.sleep(Duration::from_secs(off)).await;
                self.set_clock_wrong();
                self.driver.clock.reboot();
            }
        }
        self.files += 1;
        let newest = self.driver.kill(self.files, lost, seed).await;
        // A power cut may undo an earlier repair, too.
        self.mend_disk();
        let wall = self.driver.clock.wall();
        self.shows_behind = newest.is_some_and(|last| last.since(wall) > Duration::from_secs(1));
        self.invariants.after_kill(&self.driver).await;
        self.request_upkeep();
    }

    fn mend_disk(&mut self) {
        self.driver.mend_disk();
        self.disk_is_broken = false;
    }

    fn request_upkeep(&mut self) {
        let now = self.driver.now().stamp;
        if is_missed(self.driver.upkeep.last(), now) {
            self.driver.upkeep.request(Retention::default());
        }
    }

    /// Reads like a client with a highest age.
    async fn read(&mut self) {
        let rng = &mut self.history.rng;
        let max_age = Duration::from_secs(*rng.choice(&[0, 0, 2, 10, 60, 600]).unwrap());
        let place = rng.usize(..2);
        let kind = RunKind::ALL[place];
        let run = {
            let world = self.driver.world.lock().unwrap();
            let run = rng.choice(&world.runs[place]);
            run.map(|run| run.id.clone())
        };
        let what = match (rng.u8(..4), run) {
            (0, Some(id)) => Resource::Run(kind, id),
            (1, Some(id)) if kind == RunKind::Evaluation => Resource::Trials(id),
            _ => Resource::List(kind),
        };
        let Some(answer) = self.driver.read(&what, max_age).await else {
            return;
        };
        // A clock that was set back between two processes, but not before the last timestamp, cannot be noticed.
        let stamp = self.driver.now().stamp;
        let is_dated = self.driver.clock.error_ms(stamp) >= self.stored_error_ms;
        if answer.inherited && !is_dated && !self.shows_behind {
            return;
        }
        self.invariants.check_answer(&self.driver, &what, &answer);
    }

    async fn incident(&mut self) {
        match self.history.rng.u8(..32) {
            0..6 => {
                let fault = self.history.fault();
                self.set_fault(fault);
            }
            6 => self.set_fault(Fault::None),
            7 | 8 => {
                self.note_stored_errors();
                self.set_clock_wrong();
            }
            9 if self.history.rng.bool() => self.start_again().await,
            11 => {
                let seconds = self.history.rng.u64(60..10_000);
                let days = u64::from(self.history.rng.u8(..4) == 0) * self.history.rng.u64(..40);
                self.sleep(Duration::from_secs(days * 86_400 + seconds))
                    .await;
            }
            12 => {
                let which = self.history.rng.usize(..);
                self.driver.break_disk(which);
                self.disk_is_broken = true;
            }
            13 | 14 if self.disk_is_broken => self.mend_disk(),
            15 => {
                self.invariants.look(&self.driver).await;
                self.driver.upkeep.request(Retention::default());
            }
            _ => {}
        }
        let wrong = self.wrong_since.map(|at| self.driver.clock.real() - at);
        if !self.wrong_clocks_last && wrong.is_some_and(|wrong| wrong > SET_RIGHT_AFTER) {
            self.set_clock(0);
        }
    }

    /// Most steps follow each other so closely that they meet work under way.
    fn pause(&mut self) -> Duration {
        let rng = &mut self.history.rng;
        Duration::from_millis(match rng.u8(..40) {
            0 => rng.u64(6_000..40_000),
            1..5 => rng.u64(1_500..6_000),
            _ => rng.u64(20..600),
        })
    }

    async fn step(&mut self) {
        self.incident().await;
        if self.history.rng.u8(..3) > 0 {
            self.driver.edit(|world| self.history.change(world));
        }
        let pause = self.pause();
        self.driver.run_for(pause).await;
        match self.history.rng.u8(..8) {
            0..3 => self.read().await,
            3 => self.invariants.look(&self.driver).await,
            _ => {}
        }
        let upkeep = self.driver.upkeep.last();
        if upkeep != self.last_upkeep {
            self.last_upkeep = upkeep;
            self.invariants.look(&self.driver).await;
            let retention = Retention::default();
            let checked = self.invariants.check_retention(&self.driver, retention);
            checked.await;
        }
    }

    /// Ends all faults, lets the mirror catch up and compares it with the remote.
    async fn finish(&mut self) -> Result<(), String> {
        self.set_fault(Fault::None);
        if self.disk_is_broken {
            self.mend_disk();
        }
        self.driver.run_for(Duration::from_secs(10)).await;
        while let State::Open(_, until) = self.driver.state.circuit.state() {
            let mono = self.driver.now().mono;
            assert!(until < mono + LONGEST_PAUSE, "it pauses too long");
            let pause = until.saturating_sub(mono) + Duration::from_secs(10);
            self.driver.run_for(pause).await;
        }
        // Only what has failed again and again waits for longer than the first of these.
        let mut difference = None;
        for pause in [20, 20, 70, 700] {
            let now = self.driver.now();
            self.driver.state.request_sweep(now);
            self.driver.run_for(Duration::from_secs(pause)).await;
            self.invariants.look(&self.driver).await;
            difference = self.driver.difference().await;
            if difference.is_none() {
                break;
            }
        }
        if let Some(difference) = difference {
            let now = self.driver.now();
            let plan = self.driver.state.plan(now);
            let circuit = self.driver.state.circuit.state();
            return Err(format!("circuit {circuit:?}: {difference}\nplan {plan:?}"));
        }
        self.invariants.check_events(&self.driver);
        Ok(())
    }
}

async fn simulate(seed: u64) {
    let all = Habits::all();
    let habits = all[usize::try_from(seed).unwrap() % all.len()];
    let mut simulation = Simulation::new(seed, habits).await;
    for _ in 0..STEPS {
        simulation.step().await;
    }
    if let Err(problem) = simulation.finish().await {
        panic!("with {habits:?}: {problem}");
    }
}

/// Returns with which seeds to simulate: as many as `DOCKS_SIM_SEEDS` says, or a range as `379..380`.
pub(super) fn seeds(default: u64) -> std::ops::Range<u64> {
    let setting = std::env::var(SEEDS_VARIABLE).unwrap_or_default();
    let number = |text: &str| text.parse::<u64>().ok();
    match setting.split_once("..") {
        Some((from, to)) => number(from).unwrap()..number(to).unwrap(),
        None => 0..number(&setting).unwrap_or(default),
    }
}

/// Names what failed, however it fails.
struct NameOnPanic(u64);

impl Drop for NameOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let seed = self.0;
            eprintln!(
                "seed {seed} failed; to repeat it: {SEEDS_VARIABLE}={seed}..{}",
                seed + 1
            );
        }
    }
}

/// Simulates once with each seed of a range, on all processors.
pub(super) fn simulate_all(seeds: std::ops::Range<u64>, simulate: impl AsyncFn(u64) + Sync) {
    let next = AtomicU64::new(seeds.start);
    let work = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            let _named = NameOnPanic(seed);
            runtime.block_on(simulate(seed));
        }
    };
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..processors {
            scope.spawn(work);
        }
    });
}

#[test]
fn after_any_history_and_any_faults_the_mirror_equals_the_remote() {
    simulate_all(seeds(HISTORIES), simulate);
}
