//! How far a run has come: its status, and its trials counted by status.

use docks_proto::event::Progress;
use docks_proto::object::RunFields;
use docks_proto::routes::RunKind;
use docks_statistics::aggregate::Aggregate;
use docks_statistics::trial::TrialFacts;
use rusqlite::{Connection, OptionalExtension};

use crate::digest::sound_text;
use crate::stored_object::parse_stored_text;
use crate::trials;

/// Returns the progress of a run, once for each kind under which it is stored.
pub(crate) fn progress_of_run(
    connection: &Connection,
    run: &str,
) -> rusqlite::Result<Vec<Progress>> {
    let mut found = Vec::new();
    for kind in RunKind::ALL {
        let row: Option<(String, bool, bool, bool, String)> = connection
            .prepare_cached(
                "SELECT status, active, trials_due, gone_ms IS NOT NULL, body, digest
                 FROM runs WHERE kind = ?1 AND id = ?2",
            )?
            .query_row([kind.name(), run], |row| {
                Ok((
                    row.get(0)?,
                    row.get(1)?,
                    row.get(2)?,
                    row.get(3)?,
                    sound_text(row, 4)?.to_owned(),
                ))
            })
            .optional()?;
        let Some((status, active, trials_due, gone, text)) = row else {
            continue;
        };
        let mut progress = Progress {
            kind: Some(kind.into()),
            run_id: run.to_owned(),
            ended: !active,
            settled: !active && !trials_due,
            status,
            gone,
            ..Progress::default()
        };
        if kind == RunKind::Evaluation {
            count_trials(connection, run, &mut progress)?;
            if let Some(object) = parse_stored_text(&text) {
                progress.raise_to_counts_of(&RunFields::from_object(&object));
            }
        }
        found.push(progress);
    }
    Ok(found)
}

/// Returns the progress of several runs, in their order.
pub(crate) fn progress_of_runs(
    connection: &Connection,
    runs: &[String],
) -> rusqlite::Result<Vec<Progress>> {
    let mut all = Vec::new();
    for run in runs {
        all.extend(progress_of_run(connection, run)?);
    }
    Ok(all)
}

fn count_trials(
    connection: &Connection,
    run: &str,
    progress: &mut Progress,
) -> rusqlite::Result<()> {
    let facts = trials::read_facts_of_run(connection, run)?;
    let all: Vec<TrialFacts<'_>> = facts.trials().map(|(_, trial)| trial).collect();
    for trial in &all {
        progress.add_trials(&trial.status, 1);
    }
    // Not by status: a trial may be solved and have an error.
    progress.passed = all
        .iter()
        .filter(|trial| trial.solved == Some(true))
        .count() as u64;
    let counted = all.iter().filter(|trial| trial.ended);
    progress.mean_reward = Aggregate::mean(counted.map(|trial| trial.counted_reward)).value;
    Ok(())
}
