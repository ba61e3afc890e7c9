//! One rule: for which ends it is, and what it does.

use std::time::Duration;

use docks_artifacts::pattern::Pattern;
use docks_proto::event::ObjectState;
use docks_proto::object::{Lifecycle, TERMINAL_STATUSES, lifecycle};

/// How long a command may take, unless its rule says otherwise.
const USUAL_TIMEOUT: Duration = Duration::from_secs(60);

/// A rule as somebody wrote it.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// Profiles.
    pub profiles: Vec<String>,
    /// Statuses.
    pub statuses: Vec<String>,
    /// Glob.
    pub name: Option<String>,
    /// Whether to notify.
    pub notify: bool,
    /// Program and arguments.
    pub exec: Vec<String>,
    /// How long that may take.
    pub timeout: Option<Duration>,
}

/// What is done when a run ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Only for remotes of these profiles; none is any.
    pub profiles: Vec<String>,
    /// Only for ends with one of these statuses; none is any.
    pub statuses: Vec<String>,
    /// Only for runs whose name or id fits.
    pub name: Option<Pattern>,
    /// A desktop notification is shown.
    pub notify: bool,
    /// A program is run with these arguments; none at all is no program.
    pub exec: Vec<String>,
    /// It is killed after this long.
    pub timeout: Duration,
}

impl Rule {
    /// Makes a rule of what was written.
    ///
    /// # Errors
    ///
    /// What is wrong with it, for people.
    pub fn decide(wish: Wish) -> Result<Self, String> {
        if let Some(status) = (wish.statuses.iter()).find(|s| lifecycle(s) != Lifecycle::Terminal) {
            let ends = TERMINAL_STATUSES.join(", ");
            return Err(format!("`{status}` ends no run; these do: {ends}"));
        }
        match wish.exec.first() {
            None if !wish.notify => {
                return Err("it does nothing; write `notify = true`, or `exec`".to_owned());
            }
            // The daemon's own directory is nobody's business.
            Some(program) if program.contains('/') && !program.starts_with('/') => {
                let problem = "must be absolute, or a name that PATH finds";
                return Err(format!("the program `{program}` {problem}"));
            }
            Some(program) if program.is_empty() => {
                return Err("`exec` begins with a program".to_owned());
            }
            _ => {}
        }
        Ok(Self {
            profiles: wish.profiles,
            statuses: wish.statuses,
            name: wish.name.as_deref().map(Pattern::parse).transpose()?,
            notify: wish.notify,
            exec: wish.exec,
            timeout: wish.timeout.unwrap_or(USUAL_TIMEOUT),
        })
    }

    /// Whether the rule applies to this run, on a remote of these profiles.
    #[must_use]
    pub fn matches(&self, profiles: &[String], run: &ObjectState) -> bool {
        let of_profile = self.profiles.iter().any(|name| profiles.contains(name));
        let same = |status: &String| status.eq_ignore_ascii_case(&run.status);
        let named = |pattern: &Pattern| pattern.fits(&run.name, &[&run.run_id]);
        (self.profiles.is_empty() || of_profile)
            && (self.statuses.is_empty() || self.statuses.iter().any(same))
            && self.name.as_ref().is_none_or(named)
    }
}

#[cfg(test)]
mod tests {
    use docks_proto::object::RawObject;
    use docks_proto::routes::RunKind;

    use super::*;

    fn rule(change: impl FnOnce(&mut Wish)) -> Result<Rule, String> {
        let mut wish = Wish {
            notify: true,
            ..Wish::default()
        };
        change(&mut wish);
        Rule::decide(wish)
    }

    #[test]
    fn a_rule_is_for_the_ends_that_it_names() {
        let text = r#"{"id":"r-1","name":"nightly-7","status":"FAILED"}"#;
        let object = RawObject::parse(text).unwrap().unwrap();
        let run = ObjectState::from_run(RunKind::Evaluation, &object);
        let profiles = ["bench".to_owned()];
        let fits = |change: fn(&mut Wish)| rule(change).unwrap().matches(&profiles, &run);
        assert!(fits(|_| {}));
        assert!(fits(|wish| wish.name = Some("nightly-*".into())));
        assert!(fits(|wish| wish.name = Some("r-?".into())));
        assert!(!fits(|wish| wish.name = Some("nightly".into())));
        assert!(fits(
            |wish| wish.statuses = vec!["cancelled".into(), "failed".into()]
        ));
        assert!(!fits(|wish| wish.statuses = vec!["completed".into()]));
        assert!(fits(
            |wish| wish.profiles = vec!["other".into(), "bench".into()]
        ));
        assert!(!fits(|wish| wish.profiles = vec!["other".into()]));
    }

    #[test]
    fn a_rule_that_could_never_act_is_refused() {
        let refused = |change: fn(&mut Wish)| rule(change).unwrap_err();
        assert!(refused(|wish| wish.statuses = vec!["running".into()]).contains("`running`"));
        assert!(refused(|wish| wish.notify = false).contains("does nothing"));
        assert!(refused(|wish| wish.exec = vec!["./tell".into()]).contains("absolute"));
        assert!(refused(|wish| wish.exec = vec![String::new()]).contains("program"));
        assert!(refused(|wish| wish.name = Some("[a".into())).contains("`]`"));
    }
}
