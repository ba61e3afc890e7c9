use super::*;
use crate::snapshot::watch_targets::WatchedPart;

/// A watcher that fails beyond `limit` folders.
#[derive(Debug)]
struct LimitedWatcher {
    limit: usize,
    watched: BTreeSet<PathBuf>,
}

impl Watcher for LimitedWatcher {
    fn new<F: notify::EventHandler>(_: F, _: notify::Config) -> notify::Result<Self> {
        Ok(Self {
            limit: usize::MAX,
            watched: BTreeSet::new(),
        })
    }

    fn watch(&mut self, path: &Path, _: RecursiveMode) -> notify::Result<()> {
        if self.watched.len() >= self.limit {
            return Err(notify::Error::new(notify::ErrorKind::MaxFilesWatch));
        }
        self.watched.insert(path.to_owned());
        Ok(())
    }

    fn unwatch(&mut self, path: &Path) -> notify::Result<()> {
        self.watched.remove(path);
        Ok(())
    }

    fn kind() -> notify::WatcherKind {
        notify::WatcherKind::NullWatcher
    }
}

fn watches(root: &Path, limit: usize) -> Watches<LimitedWatcher> {
    let watcher = LimitedWatcher {
        limit,
        watched: BTreeSet::new(),
    };
    let mut watches = Watches::new(root, watcher);
    watches.watch_root().unwrap();
    watches
}

fn targets(is_running: bool, folders: &[&str]) -> Option<WatchTargets> {
    let parts = folders.iter().map(|folder| {
        let folders = vec![PathBuf::from(folder)];
        (folder.into(), WatchedPart { inode: 1, folders })
    });
    Some(WatchTargets {
        is_running,
        parts: parts.collect(),
    })
}

#[test]
fn only_targets_stay_watched_and_only_new_watches_are_reported() {
    let dir = tempfile::tempdir().unwrap();
    let mut watches = watches(dir.path(), 100);
    let job = dir.path().join("a");
    let update = |watches: &mut Watches<LimitedWatcher>, folders: &[&str]| {
        let folders: Vec<PathBuf> = folders.iter().map(|f| job.join(f)).collect();
        let folders: Vec<&str> = folders.iter().filter_map(|f| f.to_str()).collect();
        watches.update_job(&job, targets(true, &folders))
    };
    assert_eq!(
        update(&mut watches, &["", "t1", "t1/agent"]),
        Some(JobPart::Whole)
    );
    assert_eq!(update(&mut watches, &["", "t1"]), None);
    assert_eq!(watches.count(), 3);
    watches.forget_lost(&[job.join("t1")]);
    assert_eq!(watches.count(), 2);
    let only = JobPart::Folders(BTreeSet::from(["t1".into()]));
    assert_eq!(update(&mut watches, &["", "t1"]), Some(only));
    assert_eq!(watches.update_job(&job, None), None);
    assert_eq!((watches.count(), watches.watcher.watched.len()), (1, 1));
}

#[test]
fn at_the_limit_finished_jobs_make_room_for_running_ones_and_then_coverage_is_partial() {
    let dir = tempfile::tempdir().unwrap();
    let mut watches = watches(dir.path(), 3);
    watches.update_job(Path::new("/j/old"), targets(false, &["/j/old"]));
    watches.update_job(Path::new("/j/older"), targets(false, &["/j/older"]));
    watches.update_job(Path::new("/j/oldest"), targets(false, &["/j/oldest"]));
    assert_eq!(watches.coverage(), WatchCoverage::Complete);
    watches.update_job(Path::new("/j/new"), targets(true, &["/j/new", "/j/new/t1"]));
    assert_eq!(
        (watches.count(), watches.coverage()),
        (3, WatchCoverage::Complete)
    );
    watches.update_job(Path::new("/j/newer"), targets(true, &["/j/newer"]));
    assert_eq!(watches.coverage(), WatchCoverage::Partial);
    watches.retain(|name| name == Path::new("/j/new"));
    assert_eq!(watches.coverage(), WatchCoverage::Complete);
}

#[test]
fn a_replaced_directory_is_watched_again() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("jobs");
    std::fs::create_dir(&root).unwrap();
    let mut watches = watches(&root, 100);
    watches.update_job(Path::new("/j/a"), targets(true, &["/j/a"]));
    std::fs::rename(&root, dir.path().join("old")).unwrap();
    std::fs::create_dir(&root).unwrap();
    watches.watch_root().unwrap();
    assert_eq!(
        (watches.count(), watches.coverage()),
        (1, WatchCoverage::Complete)
    );
}
