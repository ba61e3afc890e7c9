//! Which events matter, and to which job.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use notify::Event;
use notify::event::{AccessKind, AccessMode, CreateKind, EventKind, ModifyKind, RemoveKind};

use crate::follow::change_queue::{Inbox, Part};
use crate::snapshot::job_snapshot::is_hidden;

/// Log that a job's process holds open until it ends.
const JOB_LOG: &str = "job.log";

/// Sorts an event of the directory `root` into the inbox.
pub(super) fn sort(root: &Path, event: &Event, inbox: &Inbox) {
    if event.need_rescan() {
        inbox.put_all();
        return;
    }
    for path in &event.paths {
        if moves_a_folder(event.kind) {
            inbox.put_lost(path);
        }
        let Ok(below) = path.strip_prefix(root) else {
            // The directory itself was moved or is watched under another name.
            inbox.put_all();
            continue;
        };
        let mut names = below.components().map(Component::as_os_str);
        let Some(job) = names.next() else {
            if moves_a_folder(event.kind) {
                inbox.put_all();
            }
            continue;
        };
        if is_hidden(job) {
            continue;
        }
        let inner: Vec<&OsStr> = names.collect();
        if matters(event.kind, &inner) {
            inbox.put(&root.join(job), part(&inner, event.kind));
        }
    }
}

/// Tells whether a folder may have gone, and with it the watch on it.
fn moves_a_folder(kind: EventKind) -> bool {
    match kind {
        EventKind::Remove(RemoveKind::File) => false,
        EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)) => true,
        _ => false,
    }
}

/// Tells whether an event of a job can change what is told of it. `inner` is its place in the job.
fn matters(kind: EventKind, inner: &[&OsStr]) -> bool {
    let json = inner
        .last()
        .is_some_and(|name| name.as_bytes().ends_with(b".json"));
    match kind {
        // Whoever ends, in whatever way, closes its log.
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => {
            json || inner == [OsStr::new(JOB_LOG)]
        }
        EventKind::Access(_) | EventKind::Modify(ModifyKind::Metadata(_)) => false,
        // Logs grow all the time, and nothing that is told comes from them.
        EventKind::Modify(ModifyKind::Data(_)) => json,
        _ => true,
    }
}

fn part(inner: &[&OsStr], kind: EventKind) -> Part {
    let folders = match (inner, kind) {
        // The job's folder itself.
        ([], _) => return Part::Whole,
        ([_], EventKind::Create(CreateKind::File) | EventKind::Access(_)) => BTreeSet::new(),
        ([name, ..], _) => BTreeSet::from([(*name).to_owned()]),
    };
    Part::Folders(folders)
}

#[cfg(test)]
mod tests {
    use notify::event::{DataChange, MetadataKind, RenameMode};

    use super::*;

    const DATA: EventKind = EventKind::Modify(ModifyKind::Data(DataChange::Any));
    const CLOSED: EventKind = EventKind::Access(AccessKind::Close(AccessMode::Write));
    const OPENED: EventKind = EventKind::Access(AccessKind::Open(AccessMode::Any));

    fn heard(kind: EventKind, path: &str) -> Option<Part> {
        let inbox = Inbox::default();
        sort(
            Path::new("/jobs"),
            &Event::new(kind).add_path(path.into()),
            &inbox,
        );
        inbox.take().jobs.remove(Path::new("/jobs/a"))
    }

    fn folder(name: &str) -> Option<Part> {
        Some(Part::Folders(BTreeSet::from([name.into()])))
    }

    #[test]
    fn results_beginnings_and_the_end_of_the_process_matter() {
        let made = EventKind::Create(CreateKind::Folder);
        assert_eq!(heard(DATA, "/jobs/a/t__1/result.json"), folder("t__1"));
        assert_eq!(heard(CLOSED, "/jobs/a/t__1/config.json"), folder("t__1"));
        assert_eq!(heard(made, "/jobs/a/t__1"), folder("t__1"));
        assert_eq!(heard(made, "/jobs/a"), Some(Part::Whole));
        let own = Some(Part::Folders(BTreeSet::new()));
        assert_eq!(heard(CLOSED, "/jobs/a/job.log"), own);
        assert!(heard(DATA, "/jobs/a/result.json").is_some());
        let first = EventKind::Create(CreateKind::File);
        assert_eq!(
            heard(first, "/jobs/a/t__1/agent/oracle.txt"),
            folder("t__1")
        );
        let gone = EventKind::Remove(RemoveKind::Folder);
        assert_eq!(heard(gone, "/jobs/a/t__1"), folder("t__1"));
    }

    #[test]
    fn logs_that_grow_reading_and_hidden_folders_do_not() {
        let touched = EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any));
        assert_eq!(heard(DATA, "/jobs/a/job.log"), None);
        assert_eq!(heard(DATA, "/jobs/a/t__1/trial.log"), None);
        assert_eq!(heard(DATA, "/jobs/a/t__1/agent/oracle.txt"), None);
        assert_eq!(heard(OPENED, "/jobs/a/result.json"), None);
        assert_eq!(heard(touched, "/jobs/a/result.json"), None);
        let inbox = Inbox::default();
        let made = Event::new(EventKind::Create(CreateKind::Folder));
        sort(
            Path::new("/jobs"),
            &made.add_path("/jobs/.harbor-download-1".into()),
            &inbox,
        );
        assert!(inbox.take().jobs.is_empty());
    }

    #[test]
    fn lost_events_and_a_moved_directory_mean_everything() {
        let everything = |event: Event| {
            let inbox = Inbox::default();
            sort(Path::new("/jobs"), &event, &inbox);
            inbox.take().everything
        };
        let full = Event::new(EventKind::Other).set_flag(notify::event::Flag::Rescan);
        assert!(everything(full));
        let moved = EventKind::Modify(ModifyKind::Name(RenameMode::From));
        assert!(everything(Event::new(moved).add_path("/jobs".into())));
    }
}
