//! `docks daemon logs`: the last lines, and those that follow.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::args::DaemonLogs;
use crate::ask::DaemonEndpoint;
use crate::context::Context;
use crate::environment::Environment;
use crate::failure::{Failure, Kind};
use crate::output::clean;

/// How often a followed log is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Shows the last lines of the log, from as many files as they need.
pub(super) async fn run(context: &Context, args: &DaemonLogs) -> Result<(), Failure> {
    let endpoint = DaemonEndpoint::new(Environment::of_process())?;
    let dir = endpoint.places.log_dir();
    let files = by_age(&dir);
    let Some(newest) = files.last() else {
        return Err(
            Failure::failed(format!("there is no log in {}", dir.display()))
                .hint("docksd writes it once it has started: `docks daemon start`"),
        );
    };
    let wanted = usize::try_from(args.lines).unwrap_or(usize::MAX);
    for line in last_lines(&files, wanted)? {
        show(context, &line);
    }
    context.output.flush()?;
    if args.follow {
        return follow(context, &dir, newest.clone()).await;
    }
    Ok(())
}

/// Lists the daemon's logs, oldest first.
fn by_age(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut files: Vec<_> = entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("docksd"))
        .filter_map(|entry| {
            let meta = entry.metadata().ok()?;
            let changed = meta.modified().ok()?;
            meta.is_file().then(|| (changed, entry.path()))
        })
        .collect();
    files.sort();
    files.into_iter().map(|(_, path)| path).collect()
}

fn last_lines(files: &[PathBuf], wanted: usize) -> Result<VecDeque<String>, Failure> {
    let mut lines = VecDeque::new();
    for path in files.iter().rev() {
        let missing = wanted - lines.len();
        if missing == 0 {
            break;
        }
        let mut tail = VecDeque::new();
        for line in read_lines(open(path)?) {
            if tail.len() == missing {
                tail.pop_front();
            }
            tail.push_back(line);
        }
        tail.append(&mut lines);
        lines = tail;
    }
    Ok(lines)
}

fn open(path: &Path) -> Result<File, Failure> {
    File::open(path).map_err(|error| {
        Failure::chain(
            Kind::Failed,
            &format!("could not read {}", path.display()),
            &error,
        )
    })
}

fn read_lines(file: File) -> impl Iterator<Item = String> {
    let lines = BufReader::new(file).split(b'\n');
    lines.map_while(|line| Some(String::from_utf8_lossy(&line.ok()?).into_owned()))
}

/// Log lines quote remote text; at a terminal nothing of it may act.
fn show(context: &Context, line: &str) {
    if context.output.style().width.is_some() {
        context.output.line(clean::line(line));
    } else {
        context.output.line(line);
    }
}

async fn follow(context: &Context, dir: &Path, mut path: PathBuf) -> Result<(), Failure> {
    let mut file = open(&path)?;
    let mut at = file
        .seek(SeekFrom::End(0))
        .map_err(|error| Failure::chain(Kind::Failed, "could not follow the log", &error))?;
    loop {
        at = show_from(context, &path, at)?;
        context.output.flush()?;
        if context.output.stdout_is_closed() {
            return Ok(());
        }
        if let Some(newest) = by_age(dir).pop()
            && newest != path
        {
            // What was written between our look and the change of files.
            show_from(context, &path, at)?;
            (path, at) = (newest, 0);
            continue;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Shows whole lines from a place on, and returns the place after them.
fn show_from(context: &Context, path: &Path, from: u64) -> Result<u64, Failure> {
    let mut file = open(path)?;
    let length = file.metadata().map_or(0, |meta| meta.len());
    if length <= from {
        // One that became shorter was begun again.
        return Ok(if length < from { 0 } else { from });
    }
    file.seek(SeekFrom::Start(from))
        .map_err(|error| Failure::chain(Kind::Failed, "could not follow the log", &error))?;
    let mut reader = BufReader::new(file);
    let mut at = from;
    let mut line = Vec::new();
    loop {
        line.clear();
        match reader.read_until(b'\n', &mut line) {
            Ok(read) if read > 0 && line.ends_with(b"\n") => {
                at += read as u64;
                show(context, String::from_utf8_lossy(&line).trim_end());
            }
            _ => return Ok(at),
        }
    }
}
