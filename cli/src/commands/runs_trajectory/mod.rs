//! `docks runs trajectory`: the steps of an agent, one after the other.

mod fields;
#[cfg(test)]
mod fuzz;
mod step;
mod step_reader;

use docks_artifacts::ArtifactType;
use docks_artifacts::source::display_uri;

use crate::args::{Format, RunsTrajectory};
use crate::context::Context;
use crate::failure::{Failure, Kind};
use crate::output::OddValueReport;
use crate::output::clean;
use crate::output::json;

use super::artifact_reader::ArtifactReader;
use super::repairing_reader::print_file;
use step::Step;
use step_reader::{Event, ReadResult};

/// Shows the steps of a trial's agent.
///
/// # Errors
///
/// [`Kind::NotFound`] when there is no trajectory or no such step, and why the trial or its
/// trajectory cannot be read.
pub(super) async fn run(context: &Context, args: &RunsTrajectory) -> Result<(), Failure> {
    let reader = ArtifactReader::new(context, &args.run_id, &args.trial_id)?;
    let trial = reader.trial().await?;
    let uris = trial.uris(ArtifactType::Trajectory);
    if uris.is_empty() {
        return Err(trial.has_no(ArtifactType::Trajectory));
    }
    reader.page();
    let mut found = 0;
    for uri in &uris {
        if uris.len() > 1 && context.global.format == Format::Table {
            let name = display_uri(uri);
            context
                .output
                .line(format!("==> {} <==", clean::line(&name)));
        }
        let file = reader.open(uri).await?;
        if context.global.format == Format::Json {
            let failed =
                |error| Failure::chain(Kind::Failed, "could not read the trajectory", &error);
            print_file(&context.output, file, false).map_err(failed)?;
            found += 1;
        } else {
            found += print_steps(context, args, file)?;
        }
    }
    context.output.flush()?;
    match (found, args.step.is_empty()) {
        (0, false) => Err(
            Failure::new(Kind::NotFound, "the trajectory has no such step")
                .hint("omit --step to list all steps"),
        ),
        _ => Ok(()),
    }
}

/// Prints the requested steps of one file; returns how many.
fn print_steps(
    context: &Context,
    args: &RunsTrajectory,
    file: std::fs::File,
) -> Result<usize, Failure> {
    let output = &context.output;
    let (mut count, mut printed) = (0_u64, 0);
    let table = context.global.format == Format::Table;
    let mut odd_values = OddValueReport::new(output);
    let read = step_reader::read(file, &mut |event| {
        match event {
            Event::Step(text) => {
                count += 1;
                let step = Step::parse(text, count);
                if args.step.is_empty() || args.step.contains(&step.number) {
                    printed += 1;
                    odd_values.add(&format!("step {}", step.number), text);
                    if table {
                        let full = args.full || !args.step.is_empty();
                        output.data(step.render(full, output.style().colour));
                    } else {
                        output.line(json::compact(text));
                    }
                }
            }
            Event::Total(text) if table && args.step.is_empty() => {
                output.data(step::render_totals(text, output.style().colour));
            }
            Event::Continued(text) if table => {
                output.line(format!("continues in {}", clean::line(text)));
            }
            Event::Total(_) | Event::Continued(_) => {}
        }
        !output.stdout_is_closed()
    });
    match read {
        Ok(ReadResult::Steps | ReadResult::Stopped) => Ok(printed),
        Ok(ReadResult::Other(text)) => {
            output.line(indented(&text));
            Ok(1)
        }
        Err(error) => Err(
            Failure::chain(Kind::Failed, "could not read the trajectory", &error)
                .hint("`--format json` prints it unchanged"),
        ),
    }
}

/// Formats JSON for people. Strings in JSON escape control characters, so lines stay lines.
fn indented(text: &str) -> String {
    let indented = json::indent(text);
    let lines: Vec<_> = indented.lines().map(clean::line).collect();
    lines.join("\n")
}
