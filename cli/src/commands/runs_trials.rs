//! `docks runs trials`.

use docks_proto::query::{ErrorFilter, RewardFilter, TrialFilter};

use super::listing::{self, RequestedList};
use crate::args::{AgentOptions, RunsTrials, TrialFilterOptions};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::lists::{ALL_TRIALS, TRIALS};

/// Lists the trials of one evaluation run or of all.
pub(super) async fn run(context: &Context, args: &RunsTrials) -> Result<(), Failure> {
    let filter = filter(&args.filters)?;
    let (list, rows) = match &args.run_id {
        Some(run_id) => (RequestedList::Trials(run_id), &TRIALS),
        None => (RequestedList::AllTrials, &ALL_TRIALS),
    };
    listing::run(context, list, rows, &args.options, filter).await
}

/// Reads the filters for trials.
///
/// # Errors
///
/// [`Kind::Usage`](crate::failure::Kind::Usage) for a reward that cannot be read.
pub(super) fn filter(args: &TrialFilterOptions) -> Result<TrialFilter, Failure> {
    let read =
        |text: &String| RewardFilter::parse(text).map_err(|bad| Failure::usage(bad.to_string()));
    Ok(TrialFilter {
        error: words(&args.error)
            .iter()
            .map(|word| ErrorFilter::parse(word))
            .collect(),
        reward: args.reward.iter().map(read).collect::<Result<_, _>>()?,
        ..named(&args.agents, &args.task)
    })
}

/// Returns the filter for trials of these agents, models and tasks.
pub(super) fn named(agents: &AgentOptions, tasks: &[String]) -> TrialFilter {
    TrialFilter {
        agent: words(&agents.agent),
        model: words(&agents.model),
        task: words(tasks),
        ..TrialFilter::default()
    }
}

/// Returns the words of an option that may be repeated or comma-separated, without spaces around them.
pub(super) fn words(given: &[String]) -> Vec<String> {
    let words = given.iter().map(|word| word.trim().to_owned());
    words.filter(|word| !word.is_empty()).collect()
}
