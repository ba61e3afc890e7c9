//! How far a run has come: its status, and its trials counted by status.

use std::collections::HashMap;

use docks_proto::event::Progress;
use docks_proto::object::RunFields;
use docks_proto::routes::RunKind;
use docks_proto::run_usage::RunUsage;
use docks_statistics::aggregate::Aggregate;
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
                progress.take_usage_of(&RunUsage::from_object(&object));
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
    let mut by_status: HashMap<String, u64> = HashMap::new();
    let mut passed = 0;
    let [mut reward, mut cost, mut tokens] = [Aggregate::default(); 3];
    trials::for_each_of_run(connection, run, |trial| {
        match by_status.get_mut(&*trial.status) {
            Some(count) => *count += 1,
            None => {
                by_status.insert(trial.status.to_string(), 1);
            }
        }
        // Not by status: a trial may be solved and have an error.
        passed += u64::from(trial.solved == Some(true));
        if trial.ended {
            reward.add(trial.counted_reward);
            cost.add(trial.cost_usd);
            let both = trial.input_tokens.zip(trial.output_tokens);
            tokens.add(both.map(|(input, output)| (input + output) as f64));
        }
    })?;
    for (status, count) in by_status {
        progress.add_trials(&status, count);
    }
    progress.passed = passed;
    progress.mean_reward = reward.per_known().value;
    (progress.cost_usd, progress.cost_n) = (cost.value, cost.n);
    (progress.tokens, progress.tokens_n) = (tokens.value, tokens.n);
    Ok(())
}
