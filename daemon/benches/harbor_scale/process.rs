//! What a process has cost so far, as Linux says.

use std::fs;
use std::time::Duration;

/// What a process has cost so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProcessCost {
    /// Memory.
    pub(crate) resident_mb: f64,
    /// The most memory that it ever had.
    pub(crate) most_resident_mb: f64,
    /// Bytes that it read, from the page cache, too.
    pub(crate) read_mb: f64,
    /// Processor time.
    pub(crate) processor: Duration,
}

impl ProcessCost {
    /// Reads the costs of a process.
    pub(crate) fn of(pid: u32) -> Self {
        let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap();
        let (status, io, stat) = (read("status"), read("io"), read("stat"));
        let number = |text: &str, key: &str| -> f64 {
            let line = text.lines().find(|line| line.starts_with(key)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap()
            .split_whitespace()
            .collect();
        let ticks: u64 = [11, 12]
            .map(|at| fields[at].parse::<u64>().unwrap())
            .iter()
            .sum();
        Self {
            resident_mb: number(&status, "VmRSS:") / 1_000.0,
            most_resident_mb: number(&status, "VmHWM:") / 1_000.0,
            read_mb: number(&io, "rchar:") / 1e6,
            // Linux counts 100 ticks a second.
            processor: Duration::from_millis(10 * ticks),
        }
    }
}
