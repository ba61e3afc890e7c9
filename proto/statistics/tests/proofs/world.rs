//! Made-up tasks and agents.

use docks_statistics::difference::PairedTask;
use fastrand::Rng;

/// A source of tasks and agents, the same ones for the same seed.
pub(crate) struct World {
    rng: Rng,
}

/// How the tasks of a benchmark differ: shares of chances that are all alike, spread out, and all or nothing.
struct Benchmark([f64; 3]);

impl Benchmark {
    /// Returns the chance to solve a task, which is so easy: from 0 to 1, each as frequent. Their mean is `rate`.
    fn chance(&self, rate: f64, ease: f64) -> f64 {
        // The mean of u^c over u from 0 to 1 is 1 / (1 + c).
        let spread = if rate <= 0.5 {
            ease.powf(1.0 / rate - 1.0)
        } else {
            1.0 - (1.0 - ease).powf(1.0 / (1.0 - rate) - 1.0)
        };
        let all_or_nothing = f64::from(u8::from(ease > 1.0 - rate));
        let [alike, spread_out, extreme] = self.0;
        alike * rate + spread_out * spread + extreme * all_or_nothing
    }
}

/// The chances of two agents to solve the same tasks.
pub(crate) struct Agents(Vec<(f64, f64)>);

impl Agents {
    /// Lets both agents try every task.
    pub(crate) fn try_tasks(&self, world: &mut World, attempts: usize) -> Vec<PairedTask> {
        let mut outcomes = |chance: f64| -> Vec<f64> {
            let count = solved(world, chance, attempts);
            (0..attempts)
                .map(|at| f64::from(u8::from(at < count)))
                .collect()
        };
        let tasks = self.0.iter();
        tasks
            .map(|(before, after)| PairedTask {
                before: outcomes(*before),
                after: outcomes(*after),
            })
            .collect()
    }
}

impl Agents {
    /// Returns the true difference on exactly these tasks.
    pub(crate) fn difference(&self) -> f64 {
        let each = self.0.iter().map(|(before, after)| after - before);
        each.sum::<f64>() / self.0.len() as f64
    }
}

/// Returns how many of some attempts succeed.
pub(crate) fn solved(world: &mut World, chance: f64, attempts: usize) -> usize {
    (0..attempts).filter(|_| world.rng.f64() < chance).count()
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            rng: Rng::with_seed(seed),
        }
    }

    pub(crate) fn between(&mut self, from: f64, until: f64) -> f64 {
        from + self.rng.f64() * (until - from)
    }

    /// Draws tasks with chances that have this mean: from all alike to most either easy or hard.
    pub(crate) fn tasks(&mut self, count: usize, rate: f64) -> Vec<f64> {
        let kind = self.kind_of_benchmark();
        (0..count)
            .map(|_| kind.chance(rate, self.rng.f64()))
            .collect()
    }

    /// Two runs of one agent.
    pub(crate) fn same_agent(&mut self, tasks: usize, rate: f64) -> Agents {
        let chances = self.tasks(tasks, rate);
        Agents(chances.into_iter().map(|chance| (chance, chance)).collect())
    }

    /// Two agents with these rates; what is hard for one is often hard for the other.
    pub(crate) fn two_agents(&mut self, tasks: usize, rates: (f64, f64)) -> Agents {
        let kind = self.kind_of_benchmark();
        let related = self.rng.f64();
        let pairs = (0..tasks).map(|_| {
            let ease = self.rng.f64();
            let is_related = self.rng.f64() < related;
            let other = if is_related { ease } else { self.rng.f64() };
            (kind.chance(rates.0, ease), kind.chance(rates.1, other))
        });
        Agents(pairs.collect())
    }

    fn kind_of_benchmark(&mut self) -> Benchmark {
        let parts = [(); 3].map(|()| self.rng.f64());
        let sum: f64 = parts.iter().sum();
        Benchmark(parts.map(|part| part / sum))
    }

    /// Two runs of an agent and one that spends so many times as much, of tasks that are worth from 1 to 20.
    pub(crate) fn spent(&mut self, tasks: usize, attempts: usize, ratio: f64) -> Vec<PairedTask> {
        let mut values = |size: f64| -> Vec<f64> {
            let values = (0..attempts).map(|_| {
                // Twelve numbers from 0 to 1 add up to one that is about normal.
                let noise = (0..12).map(|_| self.rng.f64()).sum::<f64>() - 6.0;
                size * (0.3 * noise).exp()
            });
            values.collect()
        };
        let sizes = (0..tasks).map(|at| 1.0 + (at % 20) as f64);
        sizes
            .map(|size| PairedTask {
                before: values(size),
                after: values(ratio * size),
            })
            .collect()
    }

    /// An agent, and one that has so much more chance to solve each task.
    pub(crate) fn shifted_agent(&mut self, tasks: usize, shift: f64) -> Agents {
        let pairs = (0..tasks).map(|_| {
            let chance = self.between(0.1, 0.6);
            (chance, (chance + shift).min(1.0))
        });
        Agents(pairs.collect())
    }
}
