//! The addresses of each run, and whether the run is pinned.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Cache, entries};
use crate::digest::Sha256;
use crate::owner::RunKey;

/// The downloaded artifacts of a run; stored as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The run.
    pub run: RunKey,
    /// Whether its content is exempt from pruning.
    pub pinned: bool,
    /// Cache keys of its addresses.
    pub keys: BTreeSet<Sha256>,
}

impl Cache {
    /// Adds addresses to a run.
    ///
    /// # Errors
    ///
    /// The error of the system.
    pub fn add_to_run(
        &self,
        run: &RunKey,
        keys: impl IntoIterator<Item = Sha256>,
    ) -> io::Result<()> {
        let held = self.lock()?;
        let mut record = self.read_run(run);
        record.keys.extend(keys);
        self.write_run(&record)?;
        drop(held);
        Ok(())
    }

    /// Pins or unpins a run; returns whether that changed anything.
    ///
    /// # Errors
    ///
    /// The error of the system.
    pub fn set_pinned(&self, run: &RunKey, pinned: bool) -> io::Result<bool> {
        let held = self.lock()?;
        let mut record = self.read_run(run);
        let changes = record.pinned != pinned;
        if changes {
            record.pinned = pinned;
            self.write_run(&record)?;
        }
        drop(held);
        Ok(changes)
    }

    /// Lists all runs that are pinned or have downloaded artifacts.
    ///
    /// # Errors
    ///
    /// When the directory cannot be listed.
    pub fn runs(&self) -> io::Result<Vec<RunRecord>> {
        let mut found: Vec<RunRecord> = entries(&self.root.join("runs"))?
            .into_iter()
            .filter_map(|path| serde_json::from_slice(&std::fs::read(path).ok()?).ok())
            .collect();
        found.sort_by(|a, b| {
            let order = |run: &RunKey| (run.remote.clone(), run.run_id.clone(), run.owner);
            order(&a.run).cmp(&order(&b.run))
        });
        Ok(found)
    }

    fn read_run(&self, run: &RunKey) -> RunRecord {
        let read = |run: &RunKey| -> Option<RunRecord> {
            let text = std::fs::read(self.run_path(run)).ok()?;
            serde_json::from_slice(&text).ok()
        };
        let inherited = || read(&self.inherited_run(run)?);
        RunRecord {
            run: run.clone(),
            ..read(run).or_else(inherited).unwrap_or_else(|| RunRecord {
                run: run.clone(),
                pinned: false,
                keys: BTreeSet::new(),
            })
        }
    }

    pub(super) fn write_run(&self, record: &RunRecord) -> io::Result<()> {
        self.directory("runs")?;
        self.write(&self.run_path(&record.run), &serde_json::to_vec(record)?)?;
        // The record of an earlier release has become this one.
        match self.inherited_run(&record.run) {
            Some(former) => super::remove(&self.run_path(&former)),
            None => Ok(()),
        }
    }

    pub(super) fn run_path(&self, run: &RunKey) -> PathBuf {
        self.root.join("runs").join(run.hash().hex())
    }
}
