//! `docks daemon logs`: the last lines, and new ones with `--follow`.

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

/// How often a followed log is read.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Shows the last lines of the log, from as many files as they need.
pub(super) async fn run(context: &Context, args: &DaemonLogs) -> Result<(), Failure> {
    let endpoint = DaemonEndpoint::new(Environment::of_process())?;
    let dir = endpoint.places.log_dir();
    let files = log_files(&dir);
    let Some(newest) = files.last() else {
        return Err(
            Failure::failed(format!("there is no log in {}", dir.display()))
                .hint("docksd creates it when it starts: `docks daemon start`"),
        );
    };
    let count = usize::try_from(args.lines).unwrap_or(usize::MAX);
    for line in last_lines(&files, count)? {
        print_line(context, &line);
    }
    context.output.flush()?;
    if args.follow {
        return follow(context, &dir, newest.clone()).await;
    }
    Ok(())
}

/// Lists the daemon's log files, oldest first.
fn log_files(dir: &Path) -> Vec<PathBuf> {
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

fn last_lines(files: &[PathBuf], count: usize) -> Result<VecDeque<String>, Failure> {
    let mut lines = VecDeque::new();
    for path in files.iter().rev() {
        let missing = count - lines.len();
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

/// Prints a line; at a terminal, control characters in text of a remote have no effect.
fn print_line(context: &Context, line: &str) {
    if context.output.style().width.is_some() {
        context.output.line(clean::line(line));
    } else {
        context.output.line(line);
    }
}

async fn follow(context: &Context, dir: &Path, mut path: PathBuf) -> Result<(), Failure> {
    let mut file = open(&path)?;
    let mut offset = file
        .seek(SeekFrom::End(0))
        .map_err(|error| Failure::chain(Kind::Failed, "could not follow the log", &error))?;
    loop {
        offset = print_from(context, &path, offset)?;
        context.output.flush()?;
        if context.output.has_lost_reader() {
            return Ok(());
        }
        if let Some(newest) = log_files(dir).pop()
            && newest != path
        {
            // Lines that were written between the last read and the change of files.
            print_from(context, &path, offset)?;
            (path, offset) = (newest, 0);
            continue;
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Prints the complete lines from an offset on, and returns the offset after them.
fn print_from(context: &Context, path: &Path, from: u64) -> Result<u64, Failure> {
    let mut file = open(path)?;
    let length = file.metadata().map_or(0, |meta| meta.len());
    if length <= from {
        // A file that became shorter was truncated: read it from the start.
        return Ok(if length < from { 0 } else { from });
    }
    file.seek(SeekFrom::Start(from))
        .map_err(|error| Failure::chain(Kind::Failed, "could not follow the log", &error))?;
    let mut reader = BufReader::new(file);
    let mut offset = from;
    let mut line = Vec::new();
    loop {
        line.clear();
        match reader.read_until(b'\n', &mut line) {
            Ok(read) if read > 0 && line.ends_with(b"\n") => {
                offset += read as u64;
                print_line(context, String::from_utf8_lossy(&line).trim_end());
            }
            _ => return Ok(offset),
        }
    }
}
