//! What happens to the machine and the process: kills, boots, wrong clocks, disk faults, readers.

use std::path::PathBuf;
use std::time::Duration;

use docks_proto::time::UnixMs;
use rusqlite::{Connection, OpenFlags};

use crate::clock::Clock;
use crate::fetch_key::FetchKey;
use crate::state::{Reply, WaiterId, list_index};
use docksd_mirror::{Mirror, Resource};

use super::driver::Driver;

/// Number of the reader's requests; nobody else waits.
const READER: WaiterId = 77;
/// Longest wait of a reader for the remote.
const PATIENCE: Duration = Duration::from_secs(10);

/// Tables that a faulty disk does not write, and how the write fails: alone, or with its whole
/// transaction, as it does on a full disk.
const DISK_FAULTS: [(&str, &str, &str); 6] = [
    ("INSERT", "runs", "ROLLBACK"),
    ("UPDATE", "runs", "ABORT"),
    ("INSERT", "status_event", "ABORT"),
    ("INSERT", "confirmation", "ROLLBACK"),
    ("INSERT", "observation", "ABORT"),
    ("UPDATE", "trial_list", "ROLLBACK"),
];

/// What a reader was told.
pub(super) struct Answer {
    pub(super) rows: Vec<String>,
    /// The answer claims to be as of then or later, in real time since the test began.
    pub(super) since: Duration,
    /// The remote answered, and not the mirror.
    pub(super) by_remote: bool,
    /// An earlier process stored it.
    pub(super) inherited: bool,
}

fn edit_file(path: &std::path::Path, sql: &str) {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
    let file = Connection::open_with_flags(path, flags).unwrap();
    file.execute_batch(sql).unwrap();
}

impl Driver {
    /// Makes some writes fail.
    pub(super) fn break_disk(&self, which: usize) {
        let (operation, table, how) = DISK_FAULTS[which % DISK_FAULTS.len()];
        let sql = format!(
            "CREATE TRIGGER IF NOT EXISTS faulty BEFORE {operation} ON {table}
             BEGIN SELECT RAISE({how}, 'the disk is full'); END"
        );
        edit_file(self.mirror.path(), &sql);
    }

    pub(super) fn mend_disk(&self) {
        edit_file(self.mirror.path(), "DROP TRIGGER IF EXISTS faulty");
    }

    fn wal(path: &std::path::Path) -> PathBuf {
        PathBuf::from(format!("{}-wal", path.display()))
    }

    /// Leaves the file as a kill does, and opens it again. A power cut also loses what was written last: up
    /// to `lost` bytes of the WAL. Returns the newest timestamp that is left.
    pub(super) async fn kill(&mut self, number: usize, lost: u64, seed: u64) -> Option<UnixMs> {
        let old = self.mirror.path().to_owned();
        let new = self.dir.path().join(format!("mirror-{number}.db"));
        std::fs::copy(&old, &new).unwrap();
        if Self::wal(&old).exists() {
            std::fs::copy(Self::wal(&old), Self::wal(&new)).unwrap();
            let wal = std::fs::OpenOptions::new()
                .write(true)
                .open(Self::wal(&new));
            let wal = wal.unwrap();
            let length = wal.metadata().unwrap().len();
            wal.set_len(length - lost.min(length / 2)).unwrap();
        }
        let (mirror, report) = Mirror::open(&new, "simulated", self.clock.wall()).unwrap();
        assert_eq!(report.set_aside, None, "a kill damages nothing");
        std::mem::replace(&mut self.mirror, mirror).close().await;
        for suffix in ["", "-wal", "-shm"] {
            drop(std::fs::remove_file(format!("{}{suffix}", old.display())));
        }
        let newest = self.mirror.newest_timestamp().await.unwrap();
        self.restart(seed).await;
        newest
    }

    async fn read_mirror(&self, what: &Resource) -> Vec<String> {
        match what {
            Resource::List(kind) => self.rows(*kind).await,
            Resource::Run(kind, id) => {
                let stored = self.mirror.run(*kind, id).await.unwrap();
                let live = stored.filter(|stored| stored.gone_at.is_none());
                live.map(|stored| stored.text).into_iter().collect()
            }
            Resource::Trials(run) => self.trial_rows(run).await.unwrap_or_default(),
        }
    }

    /// Returns when the remote last confirmed every row of it.
    async fn confirmed(&self, what: &Resource) -> Option<UnixMs> {
        let confirmed = self.mirror.confirmation(what).await.unwrap()?;
        Some(match what {
            Resource::List(kind) => self.state.lists[list_index(*kind)].whole_confirmed,
            _ => confirmed.at,
        })
    }

    /// Reads with a highest age, of zero for a fresh answer; `None` if the reader gets an error.
    pub(super) async fn read(&mut self, what: &Resource, max_age: Duration) -> Option<Answer> {
        let now = self.now();
        let asked = self.clock.real();
        if let Some(confirmed) = self.confirmed(what).await {
            let age = self.steady.age(confirmed, now.mono);
            if !max_age.is_zero() && age <= max_age {
                return Some(Answer {
                    rows: self.read_mirror(what).await,
                    since: asked.saturating_sub(age),
                    by_remote: false,
                    inherited: self.steady.is_inherited(confirmed),
                });
            }
        }
        let not_before = now.mono.saturating_sub(max_age);
        let key = match what {
            Resource::List(kind) => FetchKey::WholeList(*kind),
            _ => FetchKey::from(what.clone()),
        };
        self.state.request_refresh(&key, not_before, READER);
        let deadline = asked + PATIENCE;
        while self.clock.real() < deadline {
            self.run_for(Duration::from_millis(500)).await;
            for (waiter, reply) in std::mem::take(&mut self.replies) {
                if let (READER, Reply::Confirmed(result)) = (waiter, reply) {
                    result.ok()?;
                    return Some(Answer {
                        rows: self.read_mirror(what).await,
                        since: asked.saturating_sub(max_age),
                        by_remote: true,
                        inherited: false,
                    });
                }
            }
        }
        None
    }
}
