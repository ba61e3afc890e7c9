//! Writes Harbor job configs.

use std::fs;
use std::path::{Path, PathBuf};

use docks_proto::rerun::RerunPlan;

use crate::context::Context;
use crate::failure::{Failure, Kind};
use crate::output::figures::count;

/// Writes each config of a plan, and returns the files. All are written anew: a file that is there is not touched, since
/// only the first one is named by the user.
///
/// # Errors
///
/// When there is no config to write, and when a file is there already or cannot be written.
pub(super) fn write(
    context: &Context,
    plan: &RerunPlan,
    file: &Path,
) -> Result<Vec<PathBuf>, Failure> {
    if plan.configs.is_empty() {
        let why = match (plan.trials.len(), plan.retries.len()) {
            (0, _) => "there is nothing to run again, so no config was written",
            (_, 0) => {
                "only trials of a jobs directory have a Harbor config; these are known by their ids"
            }
            _ => "a `harbor serve` has no config for single trials; run the commands above",
        };
        return Err(Failure::failed(why));
    }
    let files: Vec<PathBuf> = (1..=plan.configs.len())
        .map(|number| numbered(file, number))
        .collect();
    if let Some(taken) = files.iter().find(|file| file.exists()) {
        let text = format!("{} is there already; nothing was written", taken.display());
        return Err(Failure::failed(text).hint("name another file, or remove it"));
    }
    for (config, file) in plan.configs.iter().zip(&files) {
        let text = serde_json::to_string_pretty(&config.config);
        let mut text = text.map_err(|error| failed(file, &error))?;
        text.push('\n');
        let mut options = fs::OpenOptions::new();
        let opened = options.write(true).create_new(true).open(file);
        let written =
            opened.and_then(|mut open| std::io::Write::write_all(&mut open, text.as_bytes()));
        written.map_err(|error| failed(file, &error))?;
        let trials = count(config.trials, "trial");
        let text = format!("wrote {}: a Harbor job of {trials}", file.display());
        context.output.message(text);
    }
    Ok(files)
}

fn failed(file: &Path, error: &dyn std::error::Error) -> Failure {
    let doing = format!("could not write {}", file.display());
    Failure::chain(Kind::Failed, &doing, error)
}

/// Returns the name of a file, with the number before its extension from the second one on.
pub(super) fn numbered(file: &Path, number: usize) -> PathBuf {
    if number == 1 {
        return file.to_owned();
    }
    let mut name = file.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-{number}"));
    if let Some(extension) = file.extension() {
        name.push(".");
        name.push(extension);
    }
    file.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn further_files_have_their_number_before_the_extension() {
        let named = |file: &str, number| numbered(Path::new(file), number);
        assert_eq!(named("a/again.json", 1), Path::new("a/again.json"));
        assert_eq!(named("a/again.json", 2), Path::new("a/again-2.json"));
        assert_eq!(named("again", 3), Path::new("again-3"));
    }
}
