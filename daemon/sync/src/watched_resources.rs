//! Who looked at what lately, so that what is watched is kept fresher.

use std::collections::HashMap;
use std::time::Duration;

use docks_proto::routes::RunKind;

use docksd_mirror::Resource;

/// How long a look counts as watching.
pub const MEMORY: Duration = Duration::from_secs(60);
/// Resources that are remembered; a script that reads every run watches none of them.
const MOST: usize = 512;

/// What readers looked at.
#[derive(Debug, Clone, Default)]
pub struct Interest {
    looks: HashMap<Resource, Duration>,
}

impl Interest {
    /// Notes a look.
    pub fn touch(&mut self, what: &Resource, now: Duration) {
        self.forget(now);
        if self.looks.len() < MOST || self.looks.contains_key(what) {
            self.looks.insert(what.clone(), now);
        }
    }

    /// Drops looks that no longer count.
    pub fn forget(&mut self, now: Duration) {
        self.looks.retain(|_, at| now.saturating_sub(*at) < MEMORY);
    }

    fn fresh(&self, what: &Resource, now: Duration) -> bool {
        self.looks
            .get(what)
            .is_some_and(|at| now.saturating_sub(*at) < MEMORY)
    }

    /// Tells whether a list, or any run of its kind, is watched.
    #[must_use]
    pub fn in_kind(&self, kind: RunKind, now: Duration) -> bool {
        self.looks.iter().any(|(what, at)| {
            let of = match what {
                Resource::List(of) | Resource::Run(of, _) => *of,
                Resource::Trials(_) => RunKind::Evaluation,
            };
            of == kind && now.saturating_sub(*at) < MEMORY
        })
    }

    /// Tells whether the trials of a run, or the run itself, are watched.
    #[must_use]
    pub fn in_trials(&self, run: &str, now: Duration) -> bool {
        self.fresh(&Resource::Trials(run.to_owned()), now)
            || self.fresh(&Resource::Run(RunKind::Evaluation, run.to_owned()), now)
    }

    /// Tells whether anything is watched.
    #[must_use]
    pub fn any(&self, now: Duration) -> bool {
        self.looks
            .values()
            .any(|at| now.saturating_sub(*at) < MEMORY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_counts_for_a_minute() {
        let mut interest = Interest::default();
        let start = Duration::from_secs(10);
        interest.touch(&Resource::Trials("a".into()), start);
        let later = |s| start + Duration::from_secs(s);
        assert!(interest.in_trials("a", later(59)));
        assert!(interest.in_kind(RunKind::Evaluation, later(59)));
        assert!(!interest.in_kind(RunKind::Run, later(1)));
        assert!(!interest.any(later(60)));
    }
}
