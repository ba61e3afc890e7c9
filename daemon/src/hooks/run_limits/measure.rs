//! What a run has used, to compare it with a limit. What is not known is not counted, so each figure is the least that it can be.

use std::collections::HashMap;
use std::sync::Arc;

use docks_proto::event::{ObjectState, Progress};
use docks_proto::failures::FailureClass;
use docks_proto::time::UnixMs;
use docks_statistics::failures::RuleSet;
use docksd_mirror::{FactsSelection, MirrorError};
use serde::Serialize;

use crate::config::Limit;
use crate::registry::{MirroredRemote, OwnedRemote};

/// A figure of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Measured {
    /// In dollars, seconds, or a share.
    pub(super) value: f64,
    /// Over how many trials it is.
    pub(super) known: Option<Known>,
}

/// Over how many trials a figure is, of how many that have ended.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Known {
    n: u64,
    n_of: u64,
}

/// Measures runs. Failures are sorted into classes again only when another trial has ended.
pub(super) struct Measurer {
    rules: Arc<RuleSet>,
    /// Of each run, how many of its trials had ended, and how many of these failed for reasons of infrastructure.
    failures: HashMap<(OwnedRemote, String), (u64, u64)>,
}

impl Measurer {
    /// Creates one that sorts failures by these rules.
    pub(super) fn new(rules: Arc<RuleSet>) -> Self {
        Self {
            rules,
            failures: HashMap::new(),
        }
    }

    /// Returns what a run has used; `None` while that is not known.
    pub(super) async fn measure(
        &mut self,
        remote: &MirroredRemote,
        limit: &Limit,
        run: &ObjectState,
        confirmed_at: UnixMs,
        progress: Option<&Progress>,
    ) -> Result<Option<Measured>, MirrorError> {
        Ok(match limit {
            Limit::Duration(_) => duration(run, confirmed_at),
            Limit::Cost(_) => progress.and_then(cost),
            Limit::Infrastructure { min_trials, .. } => {
                let Some(finished) = progress.map(|progress| progress.finished) else {
                    return Ok(None);
                };
                let (ended, failed) = self.infrastructure(remote, run, finished).await?;
                (ended >= *min_trials && ended > 0).then(|| Measured {
                    value: failed as f64 / ended as f64,
                    known: Some(Known {
                        n: failed,
                        n_of: ended,
                    }),
                })
            }
        })
    }

    /// Counts the trials that have ended, and those of them that failed for reasons of infrastructure.
    async fn infrastructure(
        &mut self,
        remote: &MirroredRemote,
        run: &ObjectState,
        finished: u64,
    ) -> Result<(u64, u64), MirrorError> {
        let key = (remote.id.clone(), run.run_id.clone());
        // At its end a run is looked at afresh, and then never again.
        match self.failures.get(&key) {
            Some(known) if known.0 == finished && !run.ended => return Ok(*known),
            _ => {}
        }
        let selection = FactsSelection::Ids(vec![run.run_id.clone()]);
        let (facts, _) = remote.mirror.trial_facts(selection).await?;
        let (mut ended, mut failed) = (0, 0);
        for (_, trial) in facts.trials() {
            ended += u64::from(trial.ended);
            let reason = self.rules.reason(&trial);
            let class = reason.map(|reason| reason.class);
            failed += u64::from(class == Some(FailureClass::Infrastructure));
        }
        match run.ended {
            true => drop(self.failures.remove(&key)),
            false => drop(self.failures.insert(key, (ended, failed))),
        }
        Ok((ended, failed))
    }
}

/// Returns how long a run took, or at least took until the remote last confirmed that it runs: while nobody can ask, it may
/// have ended.
fn duration(run: &ObjectState, confirmed_at: UnixMs) -> Option<Measured> {
    let started = UnixMs::parse(run.started_at.as_deref()?)?;
    let until = match run.ended {
        true => UnixMs::parse(run.completed_at.as_deref()?)?,
        false => confirmed_at,
    };
    Some(Measured {
        value: until.since(started).as_secs_f64(),
        known: None,
    })
}

fn cost(progress: &Progress) -> Option<Measured> {
    Some(Measured {
        value: progress.cost_usd?,
        known: Some(Known {
            n: progress.cost_n,
            n_of: progress.finished,
        }),
    })
}

/// Says which limit is exceeded, and by what.
pub(super) fn describe(limit: &Limit, measured: &Measured) -> String {
    let value = measured.value;
    match limit {
        Limit::Cost(most) => {
            let known = measured.known.filter(|known| known.n != known.n_of);
            let known = known.map(|known| format!(" ({}/{})", known.n, known.n_of));
            let known = known.unwrap_or_default();
            format!("cost ${value:.3}{known} is over ${most:.3}")
        }
        Limit::Duration(most) => {
            let (value, most) = (value.round(), most.as_secs());
            format!("{value} s are over the limit of {most} s")
        }
        Limit::Infrastructure { share, .. } => {
            let counts = measured
                .known
                .map(|known| format!(" ({}/{})", known.n, known.n_of));
            let counts = counts.unwrap_or_default();
            let (value, share) = (value * 100.0, share * 100.0);
            format!("{value:.0} %{counts} failed for infrastructure, over {share:.0} %")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use docks_proto::object::RawObject;
    use docks_proto::routes::RunKind;

    use super::*;

    fn run(text: &str) -> ObjectState {
        let object = RawObject::parse(text).unwrap().unwrap();
        ObjectState::from_run(RunKind::Evaluation, &object)
    }

    #[test]
    fn a_run_lasts_until_it_was_last_confirmed_or_ended() {
        let at = |text| UnixMs::parse(text).unwrap();
        let lasted = |text, confirmed| duration(&run(text), at(confirmed)).map(|found| found.value);
        let running = r#"{"id":"r","status":"running","started_at":"2026-11-30T10:00:00Z"}"#;
        assert_eq!(lasted(running, "2026-11-30T10:01:30Z"), Some(90.0));
        // The clock of the remote is ahead.
        assert_eq!(lasted(running, "2026-11-30T09:00:00Z"), Some(0.0));
        let ended = r#"{"id":"r","status":"failed","started_at":"2026-11-30T10:00:00Z","completed_at":"2026-11-30T10:00:05Z"}"#;
        assert_eq!(lasted(ended, "2026-11-30T12:00:00Z"), Some(5.0));
        assert_eq!(
            lasted(r#"{"id":"r","status":"queued"}"#, "2026-11-30T10:00:00Z"),
            None
        );
    }

    #[test]
    fn a_limit_that_is_exceeded_is_described_with_what_is_known() {
        let known = |n, n_of| Some(Known { n, n_of });
        for (limit, value, known, text) in [
            (
                Limit::Cost(20.0),
                25.5,
                known(3, 3),
                "cost $25.500 is over $20.000",
            ),
            (
                Limit::Cost(20.0),
                25.5,
                known(1, 3),
                "cost $25.500 (1/3) is over $20.000",
            ),
            (
                Limit::Duration(Duration::from_secs(60)),
                61.4,
                None,
                "61 s are over the limit of 60 s",
            ),
            (
                Limit::Infrastructure {
                    share: 0.2,
                    min_trials: 10,
                },
                0.25,
                known(3, 12),
                "25 % (3/12) failed for infrastructure, over 20 %",
            ),
        ] {
            assert_eq!(describe(&limit, &Measured { value, known }), text);
        }
    }
}
