//! `docks runs cat`: prints one file of a trial or a run.

use std::fs::File;
use std::io::{Read, Seek};

use docks_artifacts::TrialArtifacts;
use docks_proto::error::Candidate;
use docks_proto::file_list::ListedFile;

use crate::args::{Format, RunsCat};
use crate::ask::Request;
use crate::context::Context;
use crate::failure::{Failure, Kind};
use crate::output::clean;

use super::artifact_reader::ArtifactReader;
use super::artifact_selection;
use super::file_lists::FileLists;
use super::line_reader::LineReader;
use super::print_object;
use super::recording::{self, shell_word};

/// Bytes that are read at once.
const BLOCK_BYTES: usize = 256 * 1024;
/// Where a file that is not text is recognised by a zero byte, as other programs do.
const BINARY_CHECK_BYTES: u64 = 8 * 1024;
/// Candidates of an ambiguous path that are named.
const MOST_CANDIDATES: usize = 20;

/// Prints a file: as text through the pager at a terminal, its bytes in a pipe.
///
/// # Errors
///
/// [`Kind::NotFound`] when there is no such file, [`Kind::Ambiguous`] when several have the path's last names,
/// and why the file cannot be read.
pub(super) async fn run(context: &Context, args: &RunsCat) -> Result<(), Failure> {
    if context.global.format != Format::Table {
        return Err(Failure::usage("a file is printed as it is").hint("omit --format"));
    }
    let given = checked_path(args.path())?;
    let trial = args.trial_id();
    let reader = ArtifactReader::new(context, &args.run_id, trial.unwrap_or_default())?;
    let file = find(context, &reader, args, &given).await?;
    let size_bytes = file.size_bytes;
    let to_terminal = context.output.style().width.is_some() && !args.raw;
    let mut opened = match to_terminal {
        true => reader.open(&file.uri).await?,
        false => reader.open_any(&file.uri).await?,
    };
    if !to_terminal {
        return copy(context, opened).await;
    }
    if recording::is_recording(&file.path) {
        let hint = recording::how_to_play(&file.uri, &args.run_id, trial);
        context.output.note(hint);
    } else if is_binary(&mut opened).map_err(unreadable)? {
        let size = size_bytes.map_or_else(String::new, |size| format!(" of {size} bytes"));
        let name = file.path.rsplit('/').next().unwrap_or_default();
        let of_trial = trial.map_or_else(String::new, |id| format!(" --trial {id}"));
        let download = format!(
            "`docks runs artifacts {}{of_trial} --type all --pattern {}` downloads it",
            args.run_id,
            shell_word(name)
        );
        return Err(
            Failure::failed(format!("`{}` is a binary file{size}", file.path))
                .hint(download)
                .hint("`--raw` prints its bytes, as a pipe gets them"),
        );
    }
    reader.page();
    print_text(context, opened).await
}

/// Checks a path that a user has typed, and drops what does not matter in it.
fn checked_path(given: &str) -> Result<String, Failure> {
    let names: Vec<&str> = given
        .split('/')
        .filter(|name| !matches!(*name, "" | "."))
        .collect();
    if given.starts_with('/') || names.contains(&"..") || names.is_empty() {
        return Err(Failure::usage(format!(
            "`{given}` is not a path below the folder of a trial or a run"
        ))
        .hint("`docks runs files` shows the paths"));
    }
    Ok(names.join("/"))
}

async fn find(
    context: &Context,
    reader: &ArtifactReader<'_>,
    args: &RunsCat,
    given: &str,
) -> Result<ListedFile, Failure> {
    let requester = reader.requester();
    let run = artifact_selection::find_quietly(requester, &args.run_id).await?;
    let lists = FileLists::new(context, requester, run.is_harbor_job);
    let own_list = match args.trial_id() {
        Some(trial) => format!("`docks runs files {} {trial}` lists its files", args.run_id),
        None => format!("`docks runs files {}` lists its files", args.run_id),
    };
    let mut owner = match args.trial_id() {
        Some(trial) => trial_of(reader, &run.id, trial).await?,
        None => run.artifacts,
    };
    let trial = Some(owner.id.clone()).filter(|_| args.trial_id().is_some());
    // What the object names needs no list.
    if let Some(file) = owner.files.iter().find(|file| file.path == given) {
        return Ok(file.clone());
    }
    lists
        .complete(&run.id, trial.as_deref(), &mut owner)
        .await?;
    let missing = match choose(&owner.files, given) {
        Ok(file) => return Ok(file.clone()),
        Err(failure) => failure,
    };
    // A path of a trial with the name of its folder, as in the folder of the job.
    if args.trial_id().is_none()
        && missing.kind == Kind::NotFound
        && let Some((trial, path)) = given.split_once('/')
        && let Ok(mut owner) = trial_of(reader, &run.id, trial).await
    {
        let id = owner.id.clone();
        lists.complete(&run.id, Some(&id), &mut owner).await?;
        return choose(&owner.files, path).cloned().map_err(|failure| {
            failure.hint(format!(
                "`docks runs files {} {trial}` lists its files",
                args.run_id
            ))
        });
    }
    Err(missing.hint(own_list))
}

async fn trial_of(
    reader: &ArtifactReader<'_>,
    run: &str,
    trial: &str,
) -> Result<TrialArtifacts, Failure> {
    let response = reader
        .requester()
        .request(Request::Trial(run, trial))
        .await?;
    let body = print_object::body_text(&response.body);
    Ok(TrialArtifacts::from_object(&print_object::parse_object(
        &body,
    )?))
}

/// Finds the file with a path, or the only one whose path ends with it.
fn choose<'f>(files: &'f [ListedFile], given: &str) -> Result<&'f ListedFile, Failure> {
    if let Some(exact) = files.iter().find(|file| file.path == given) {
        return Ok(exact);
    }
    let folder = format!("{given}/");
    if files.iter().any(|file| file.path.starts_with(&folder)) {
        return Err(Failure::failed(format!("`{given}` is a folder")));
    }
    let end = format!("/{given}");
    let mut matching = files.iter().filter(|file| file.path.ends_with(&end));
    match (matching.next(), matching.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => Err(Failure::new(Kind::NotFound, format!("no file `{given}`"))),
        (Some(first), Some(second)) => {
            let mut failure = Failure::new(
                Kind::Ambiguous,
                format!("`{given}` matches more than one file"),
            );
            let all = [first, second].into_iter().chain(matching);
            failure.candidates = all.take(MOST_CANDIDATES).map(candidate).collect();
            Err(failure.hint("type more of the path"))
        }
    }
}

fn candidate(file: &ListedFile) -> Candidate {
    Candidate {
        id: file.path.clone(),
        name: None,
        status: None,
        location: None,
    }
}

fn is_binary(file: &mut File) -> std::io::Result<bool> {
    let mut begin = Vec::new();
    file.take(BINARY_CHECK_BYTES).read_to_end(&mut begin)?;
    file.rewind()?;
    Ok(begin.contains(&0))
}

async fn print_text(context: &Context, file: File) -> Result<(), Failure> {
    let output = &context.output;
    let mut lines = LineReader::new(file, 0).map_err(unreadable)?;
    let mut piece = Vec::new();
    while lines.next(&mut piece).map_err(unreadable)? {
        output.data(clean::text_with_tabs(&piece));
        if lines.at_line_start() {
            output.data("\n");
        }
        if output.stdout_is_closed() {
            return Ok(());
        }
        tokio::task::yield_now().await;
    }
    output.flush()
}

async fn copy(context: &Context, mut file: File) -> Result<(), Failure> {
    let output = &context.output;
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        let got = file.read(&mut block).map_err(unreadable)?;
        if got == 0 {
            return output.flush();
        }
        output.data(block.get(..got).unwrap_or(&block));
        output.flush()?;
        if output.stdout_is_closed() {
            return Ok(());
        }
        tokio::task::yield_now().await;
    }
}

fn unreadable(error: std::io::Error) -> Failure {
    Failure::chain(Kind::Failed, "could not read the file", &error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(paths: &[&str]) -> Vec<ListedFile> {
        let file = |path: &&str| ListedFile {
            path: (*path).to_owned(),
            r#type: "other".to_owned(),
            size_bytes: None,
            modified_at: None,
            uri: String::new(),
        };
        paths.iter().map(file).collect()
    }

    #[test]
    fn a_path_is_exact_or_the_only_end_of_one() {
        let files = files(&["a/x.txt", "b/x.txt", "x.txt", "a/y/z.txt", "q/ab.txt"]);
        let found = |given| choose(&files, given).map(|file| file.path.as_str());
        assert_eq!(found("x.txt"), Ok("x.txt"));
        assert_eq!(found("z.txt"), Ok("a/y/z.txt"));
        assert_eq!(found("y/z.txt"), Ok("a/y/z.txt"));
        assert_eq!(found("a").unwrap_err().message, "`a` is a folder");
        assert_eq!(found("b.txt").unwrap_err().kind, Kind::NotFound);
        let several = choose(&files[..2], "x.txt").unwrap_err();
        assert_eq!(several.kind, Kind::Ambiguous);
        assert_eq!(several.candidates[1].id, "b/x.txt");
    }

    #[test]
    fn a_path_that_leaves_the_folder_is_a_usage_error() {
        assert_eq!(checked_path("./a//b/").unwrap(), "a/b");
        for bad in ["/etc/passwd", "../x", "a/../../x", "", ".", "//"] {
            assert_eq!(checked_path(bad).unwrap_err().kind, Kind::Usage, "{bad}");
        }
    }
}
