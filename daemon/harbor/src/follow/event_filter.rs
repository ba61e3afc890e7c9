//! Which events matter, and for which job.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use notify::Event;
use notify::event::{AccessKind, AccessMode, CreateKind, EventKind, ModifyKind, RemoveKind};

use crate::disk::folders::is_hidden;
use crate::follow::change_queue::ChangeQueue;
use crate::snapshot::job_part::JobPart;
use crate::snapshot::watch_targets::Containers;

/// The log that a job's process holds open until it ends.
const JOB_LOG: &str = "job.log";

/// Records an event of the directory `root` in the queue.
pub(super) fn record_event(
    root: &Path,
    containers: &Containers,
    event: &Event,
    queue: &ChangeQueue,
) {
    if event.need_rescan() {
        queue.record_everything();
        return;
    }
    for path in &event.paths {
        if may_move_folder(event.kind) {
            queue.record_lost_watch(path);
        }
        let is_container = path == root || containers.folders.contains(path);
        if !path.starts_with(root) || (is_container && may_move_folder(event.kind)) {
            // It was moved, or is watched under another name.
            queue.record_everything();
            continue;
        }
        let parents = path.ancestors().take_while(|folder| *folder != root);
        let mut in_containers = parents.filter(|folder| {
            let parent = folder.parent();
            parent.is_some_and(|parent| containers.folders.contains(parent))
                && !folder.file_name().is_none_or(is_hidden)
        });
        let alone = containers.standalone.iter();
        let alone = alone.filter(|folder| path.starts_with(folder));
        let jobs: Vec<&Path> = in_containers
            .next()
            .into_iter()
            .chain(alone.map(PathBuf::as_path))
            .collect();
        for job in jobs {
            record_job_event(job, path, event.kind, queue);
        }
    }
}

fn record_job_event(job: &Path, path: &Path, kind: EventKind, queue: &ChangeQueue) {
    let Ok(relative) = path.strip_prefix(job) else {
        return;
    };
    let path_in_job: Vec<&OsStr> = relative.components().map(Component::as_os_str).collect();
    if matters(kind, &path_in_job) {
        queue.record_job(job, changed_part(&path_in_job, kind));
    }
}

/// Whether a folder may be gone, and the watch on it.
fn may_move_folder(kind: EventKind) -> bool {
    match kind {
        EventKind::Remove(RemoveKind::File) => false,
        EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)) => true,
        _ => false,
    }
}

/// Whether an event can change what is published of a job. `path_in_job` is relative to the job's folder.
fn matters(kind: EventKind, path_in_job: &[&OsStr]) -> bool {
    let json = path_in_job
        .last()
        .is_some_and(|name| name.as_bytes().ends_with(b".json"));
    match kind {
        // A process that ends in any way closes its log.
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => {
            json || path_in_job == [OsStr::new(JOB_LOG)]
        }
        EventKind::Access(_) | EventKind::Modify(ModifyKind::Metadata(_)) => false,
        // Logs grow all the time, and nothing that is published comes from them.
        EventKind::Modify(ModifyKind::Data(_)) => json,
        _ => true,
    }
}

fn changed_part(path_in_job: &[&OsStr], kind: EventKind) -> JobPart {
    let folders = match (path_in_job, kind) {
        // The job's folder itself.
        ([], _) => return JobPart::Whole,
        ([_], EventKind::Create(CreateKind::File) | EventKind::Access(_)) => BTreeSet::new(),
        ([name, ..], _) => BTreeSet::from([(*name).to_owned()]),
    };
    JobPart::Folders(folders)
}

#[cfg(test)]
mod tests {
    use notify::event::{DataChange, MetadataKind, RenameMode};

    use super::*;

    const DATA: EventKind = EventKind::Modify(ModifyKind::Data(DataChange::Any));
    const CLOSED: EventKind = EventKind::Access(AccessKind::Close(AccessMode::Write));
    const OPENED: EventKind = EventKind::Access(AccessKind::Open(AccessMode::Any));

    fn flat() -> Containers {
        Containers {
            folders: BTreeSet::from(["/jobs".into()]),
            ..Containers::default()
        }
    }

    fn recorded(kind: EventKind, path: &str) -> Option<JobPart> {
        let queue = ChangeQueue::default();
        record_event(
            Path::new("/jobs"),
            &flat(),
            &Event::new(kind).add_path(path.into()),
            &queue,
        );
        queue.take().jobs.remove(Path::new("/jobs/a"))
    }

    fn folder(name: &str) -> Option<JobPart> {
        Some(JobPart::Folders(BTreeSet::from([name.into()])))
    }

    #[test]
    fn results_new_folders_and_the_end_of_the_process_matter() {
        let made = EventKind::Create(CreateKind::Folder);
        assert_eq!(recorded(DATA, "/jobs/a/t__1/result.json"), folder("t__1"));
        assert_eq!(recorded(CLOSED, "/jobs/a/t__1/config.json"), folder("t__1"));
        assert_eq!(recorded(made, "/jobs/a/t__1"), folder("t__1"));
        assert_eq!(recorded(made, "/jobs/a"), Some(JobPart::Whole));
        let own = Some(JobPart::Folders(BTreeSet::new()));
        assert_eq!(recorded(CLOSED, "/jobs/a/job.log"), own);
        assert!(recorded(DATA, "/jobs/a/result.json").is_some());
        let first = EventKind::Create(CreateKind::File);
        assert_eq!(
            recorded(first, "/jobs/a/t__1/agent/oracle.txt"),
            folder("t__1")
        );
        let gone = EventKind::Remove(RemoveKind::Folder);
        assert_eq!(recorded(gone, "/jobs/a/t__1"), folder("t__1"));
    }

    #[test]
    fn events_of_nested_jobs_and_of_lone_trials_are_theirs() {
        let containers = Containers {
            folders: ["/r", "/r/x/jobs"].map(PathBuf::from).into(),
            standalone: BTreeSet::from(["/r/x/trials".into()]),
        };
        let jobs = |path: &str| {
            let queue = ChangeQueue::default();
            let event = Event::new(CLOSED).add_path(path.into());
            record_event(Path::new("/r"), &containers, &event, &queue);
            let jobs = queue.take().jobs.into_keys();
            jobs.map(|job| job.display().to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(jobs("/r/x/jobs/j/t/result.json"), ["/r/x/jobs/j"]);
        assert_eq!(jobs("/r/j/t/result.json"), ["/r/j"]);
        assert_eq!(jobs("/r/x/trials/t/result.json"), ["/r/x", "/r/x/trials"]);
        // Its own name may begin with a dot.
        let root = Containers {
            folders: BTreeSet::new(),
            standalone: BTreeSet::from(["/.r".into()]),
        };
        let queue = ChangeQueue::default();
        let event = Event::new(CLOSED).add_path("/.r/t__1/result.json".into());
        record_event(Path::new("/.r"), &root, &event, &queue);
        assert_eq!(queue.take().jobs[Path::new("/.r")], folder("t__1").unwrap());
    }

    #[test]
    fn growing_logs_reading_and_hidden_folders_do_not_matter() {
        let touched = EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any));
        assert_eq!(recorded(DATA, "/jobs/a/job.log"), None);
        assert_eq!(recorded(DATA, "/jobs/a/t__1/trial.log"), None);
        assert_eq!(recorded(DATA, "/jobs/a/t__1/agent/oracle.txt"), None);
        assert_eq!(recorded(OPENED, "/jobs/a/result.json"), None);
        assert_eq!(recorded(touched, "/jobs/a/result.json"), None);
        let queue = ChangeQueue::default();
        let made = Event::new(EventKind::Create(CreateKind::Folder));
        record_event(
            Path::new("/jobs"),
            &flat(),
            &made.add_path("/jobs/.harbor-download-1".into()),
            &queue,
        );
        assert!(queue.take().jobs.is_empty());
    }

    #[test]
    fn lost_events_and_a_moved_directory_affect_everything() {
        let everything = |event: Event| {
            let queue = ChangeQueue::default();
            record_event(Path::new("/jobs"), &flat(), &event, &queue);
            queue.take().everything
        };
        let full = Event::new(EventKind::Other).set_flag(notify::event::Flag::Rescan);
        assert!(everything(full));
        let moved = EventKind::Modify(ModifyKind::Name(RenameMode::From));
        assert!(everything(Event::new(moved).add_path("/jobs".into())));
    }
}
