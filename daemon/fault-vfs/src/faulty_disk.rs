//! The disk below one database, as tests see it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::calls::{Calls, Failure, Plan, unwatch, watch};
use crate::vfs;

/// The disk below one database. Dropping it makes the disk sound again for files opened from then on.
#[derive(Debug)]
pub struct FaultyDisk {
    database: PathBuf,
    calls: Arc<Calls>,
}

impl FaultyDisk {
    /// Watches the calls for the database at `path`, which may not exist yet but whose directory must.
    ///
    /// Only connections that are opened afterwards are watched. They do not wait until what they write is
    /// stored: no test crashes the machine.
    ///
    /// # Panics
    ///
    /// When the directory of `path` does not exist, or the database is watched already.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        vfs::register();
        let directory = path.parent().expect("a file is in a directory");
        let directory = directory.canonicalize().expect("the directory exists");
        let database = directory.join(path.file_name().expect("a file has a name"));
        let calls = Arc::new(Calls::default());
        let is_first = watch(&database, &calls);
        assert!(is_first, "{} is watched twice", database.display());
        Self { database, calls }
    }

    /// Begins to count, and fails what the plan says.
    pub fn fail(&self, plan: Plan) {
        self.calls.set_plan(plan);
    }

    /// Begins to count the calls that can fail like this, and fails none.
    pub fn count(&self, failure: Failure) {
        self.fail(Plan {
            failure,
            at: u64::MAX,
            once: true,
        });
    }

    /// Makes the disk sound again, and returns how many calls could have failed and how many did.
    pub fn mend(&self) -> (u64, u64) {
        self.calls.end_plan()
    }
}

impl Drop for FaultyDisk {
    fn drop(&mut self) {
        unwatch(&self.database);
        self.mend();
    }
}
