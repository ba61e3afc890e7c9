//! What readers requested lately, so that it is kept fresher.

use std::collections::HashMap;
use std::time::Duration;

use docks_proto::routes::RunKind;

use docksd_mirror::Resource;

/// How long a resource counts as watched after it was read.
pub const WATCHED_FOR: Duration = Duration::from_secs(60);
/// Maximum number of resources; a script that reads every run watches none of them.
const MAX_RESOURCES: usize = 512;

/// Resources that were read lately.
#[derive(Debug, Clone, Default)]
pub struct WatchedResources {
    last_read: HashMap<Resource, Duration>,
}

impl WatchedResources {
    /// Records that the resource is read.
    pub fn mark(&mut self, what: &Resource, now: Duration) {
        self.prune(now);
        if self.last_read.len() < MAX_RESOURCES || self.last_read.contains_key(what) {
            self.last_read.insert(what.clone(), now);
        }
    }

    /// Drops resources that no longer count as watched.
    pub fn prune(&mut self, now: Duration) {
        self.last_read
            .retain(|_, at| now.saturating_sub(*at) < WATCHED_FOR);
    }

    fn is_watched(&self, what: &Resource, now: Duration) -> bool {
        self.last_read
            .get(what)
            .is_some_and(|at| now.saturating_sub(*at) < WATCHED_FOR)
    }

    /// Returns whether the list or any run of this kind is watched.
    #[must_use]
    pub fn is_kind_watched(&self, kind: RunKind, now: Duration) -> bool {
        self.last_read.iter().any(|(what, at)| {
            let of_kind = match what {
                Resource::List(kind) | Resource::Run(kind, _) => *kind,
                Resource::Trials(_) => RunKind::Evaluation,
            };
            of_kind == kind && now.saturating_sub(*at) < WATCHED_FOR
        })
    }

    /// Returns whether the trials of the run or the run itself are watched.
    #[must_use]
    pub fn are_trials_watched(&self, run: &str, now: Duration) -> bool {
        self.is_watched(&Resource::Trials(run.to_owned()), now)
            || self.is_watched(&Resource::Run(RunKind::Evaluation, run.to_owned()), now)
    }

    /// Returns whether anything is watched.
    #[must_use]
    pub fn any(&self, now: Duration) -> bool {
        self.last_read
            .values()
            .any(|at| now.saturating_sub(*at) < WATCHED_FOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_watched_for_a_minute_after_it_was_read() {
        let mut watched = WatchedResources::default();
        let start = Duration::from_secs(10);
        watched.mark(&Resource::Trials("a".into()), start);
        let later = |s| start + Duration::from_secs(s);
        assert!(watched.are_trials_watched("a", later(59)));
        assert!(watched.is_kind_watched(RunKind::Evaluation, later(59)));
        assert!(!watched.is_kind_watched(RunKind::Run, later(1)));
        assert!(!watched.any(later(60)));
    }
}
