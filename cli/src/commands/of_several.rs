//! What commands about several remotes share: remotes that gave no answer, ages per remote, and
//! finding the remote that has a run.

use docks_proto::error::Candidate;
use docks_proto::object::{RawObject, RunFields};
use docks_proto::routes::RunKind;
use futures_util::future::join_all;

use super::find_run::{find_of_any_kind, find_of_kind};
use crate::ask::{NamedRemote, Requester, SeveralRemotes};
use crate::context::Context;
use crate::failure::{Failure, Kind};
use crate::output::json::RemoteMeta;

/// The remotes that gave no answer. They take nothing from the others, but the command says so and
/// does not succeed.
#[derive(Debug)]
pub(crate) struct Unanswered {
    asked: usize,
    /// Name and reason.
    pub(crate) failures: Vec<(String, Failure)>,
}

impl Unanswered {
    /// Starts with none of these remotes.
    pub(crate) fn of(several: &SeveralRemotes) -> Self {
        Self {
            asked: several.remotes.len(),
            failures: Vec::new(),
        }
    }

    /// Adds a remote.
    pub(crate) fn add(&mut self, remote: &NamedRemote, failure: Failure) {
        self.failures.push((remote.name.clone(), failure));
    }

    /// Fails if no remote answered: with the reason, if there is only one.
    pub(crate) fn fail_if_all(&self) -> Result<(), Failure> {
        let [(name, first), others @ ..] = &self.failures[..] else {
            return Ok(());
        };
        if self.failures.len() < self.asked {
            return Ok(());
        }
        let mut failure = first.clone();
        failure.message = format!("{name}: {}", first.message);
        for (name, other) in others {
            failure.hints.push(format!("{name}: {}", other.message));
            if other.kind != failure.kind {
                failure.kind = Kind::Failed;
            }
        }
        Err(failure)
    }

    /// Describes the remotes that did not answer, for `--meta`.
    pub(crate) fn meta(&self) -> impl Iterator<Item = RemoteMeta<'_>> {
        let failures = self.failures.iter();
        failures.map(|(name, failure)| RemoteMeta::unanswered(name, &failure.message))
    }

    /// Says on stderr which remotes did not answer, a line for each.
    pub(crate) fn report(&self, context: &Context) {
        for (name, failure) in &self.failures {
            context.output.warn(format!("{name}: {}", failure.message));
            for hint in &failure.hints {
                context.output.verbose(format!("hint: {name}: {hint}"));
            }
        }
    }

    /// Fails if a remote did not answer, after everything else was printed.
    pub(crate) fn into_result(self) -> Result<(), Failure> {
        match self.failures.len() {
            0 => Ok(()),
            count => Err(Failure::failed(format!(
                "{count} of {} remotes gave no answer",
                self.asked
            ))),
        }
    }
}

/// Which runs an id may name.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wanted {
    /// Plain runs.
    Run,
    /// Evaluation runs.
    Evaluation,
    /// Both; an evaluation run first.
    Any,
}

/// A run that one of several remotes has.
#[derive(Debug)]
pub(crate) struct Found<'a> {
    /// The remote.
    pub(crate) remote: &'a NamedRemote,
    /// Its place among the remotes.
    pub(crate) index: usize,
    /// The kind that it was found as.
    pub(crate) kind: RunKind,
    /// Its full id.
    pub(crate) id: String,
}

/// What one remote says about an id.
enum Verdict {
    Has(RunKind, RawObject),
    HasNot(Failure),
    Unknown(Failure),
}

impl SeveralRemotes {
    /// Finds the one remote that has a run, given by id, prefix or name, or as `REMOTE:RUN`.
    ///
    /// A remote that gives no answer is only a warning where the run is read; where it is changed,
    /// nothing is known as long as one is missing.
    ///
    /// # Errors
    ///
    /// When no remote has it, or several, with their names.
    pub(crate) async fn find<'a>(
        &'a self,
        context: &Context,
        wanted: Wanted,
        given: &str,
        is_change: bool,
    ) -> Result<Found<'a>, Failure> {
        let (named, given) = self.split(given);
        let asked: Vec<(usize, &NamedRemote)> = self
            .remotes
            .iter()
            .enumerate()
            .filter(|(index, _)| named.is_none_or(|named| named == *index))
            .collect();
        let asking = asked
            .iter()
            .map(|(_, remote)| look_up(remote, wanted, given));
        let (mut found, mut missing, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
        for (&(index, remote), verdict) in asked.iter().zip(join_all(asking).await) {
            match verdict {
                Verdict::Has(kind, object) => found.push((index, remote, kind, object)),
                Verdict::HasNot(failure) => missing.push(failure),
                Verdict::Unknown(failure) => unknown.push((remote, failure)),
            }
        }
        match (&found[..], &unknown[..]) {
            // One remote was meant: its own words are the clearest.
            ([], [(remote, failure)]) if asked.len() == 1 => {
                return Err(remote.explain(failure.clone()));
            }
            ([], []) => return Err(self.not_found(given, missing)),
            ([], [(remote, failure), ..]) | ([_], [(remote, failure), ..])
                if found.is_empty() || is_change =>
            {
                return Err(not_known(given, remote, failure.clone()));
            }
            ([_, _, ..], _) => return Err(ambiguous(given, &found)),
            _ => {}
        }
        for (remote, failure) in unknown {
            let text = format!("{}: {}", remote.name, failure.message);
            context.output.warn(text);
        }
        let (index, remote, kind, object) = found.swap_remove(0);
        let id = RunFields::from_object(&object).id.text();
        Ok(Found {
            remote,
            index,
            kind,
            id: id.unwrap_or_else(|| given.to_owned()),
        })
    }

    /// Splits `REMOTE:RUN`; anything else is the name of a run, in any remote.
    fn split<'g>(&self, given: &'g str) -> (Option<usize>, &'g str) {
        let run_in = |(index, remote): (usize, &NamedRemote)| {
            let run = given.strip_prefix(&remote.name)?.strip_prefix(':')?;
            Some((index, run))
        };
        let named = self.remotes.iter().enumerate().filter_map(run_in);
        // An address with a port begins with the one without.
        match named.min_by_key(|(_, run)| run.len()) {
            Some((index, run)) => (Some(index), run),
            None => (None, given),
        }
    }

    fn not_found(&self, given: &str, mut missing: Vec<Failure>) -> Failure {
        if missing.len() == 1 {
            return missing.swap_remove(0);
        }
        let message = format!("no run `{given}` in {}", self.names());
        Failure::new(Kind::NotFound, message)
            .hint("`docks runs list` and `docks runs eval-list` list what exists")
    }
}

async fn look_up(remote: &NamedRemote, wanted: Wanted, given: &str) -> Verdict {
    let asked = async {
        let requester = Requester::new(&remote.context)?;
        let kind = match wanted {
            Wanted::Run => RunKind::Run,
            Wanted::Evaluation => RunKind::Evaluation,
            Wanted::Any => return find_of_any_kind(&requester, given).await,
        };
        let object = find_of_kind(&requester, kind, given).await?;
        Ok((kind, object))
    };
    match asked.await {
        Ok((kind, object)) => Verdict::Has(kind, object),
        Err(failure) if failure.kind == Kind::NotFound => Verdict::HasNot(failure),
        Err(failure) => Verdict::Unknown(failure),
    }
}

/// Says that a run may be in a remote that gave no answer.
fn not_known(given: &str, remote: &NamedRemote, failure: Failure) -> Failure {
    let name = &remote.name;
    // An id that is ambiguous within one remote is told as such.
    if failure.kind == Kind::Ambiguous {
        return remote.explain(failure);
    }
    let message = format!(
        "cannot tell which remote has `{given}`: {name}: {}",
        failure.message
    );
    Failure { message, ..failure }
        .hint("leave out that remote, or name the one that has the run: -p NAME, or REMOTE:RUN")
}

fn ambiguous(given: &str, found: &[(usize, &NamedRemote, RunKind, RawObject)]) -> Failure {
    let names: Vec<&str> = found.iter().map(|(_, remote, ..)| &*remote.name).collect();
    let candidate = |(_, remote, _, object): &(usize, &NamedRemote, RunKind, RawObject)| {
        let fields = RunFields::from_object(object);
        Candidate {
            id: fields.id.text().unwrap_or_default(),
            name: fields.name.text(),
            status: fields.status.text(),
            location: Some(remote.name_of(object)),
        }
    };
    Failure {
        candidates: found.iter().map(candidate).collect(),
        ..Failure::new(
            Kind::Ambiguous,
            format!("several remotes have `{given}`: {}", names.join(", ")),
        )
    }
    .hint(found.first().map_or_else(String::new, |(_, first, ..)| {
        let (option, name) = (first.option, &first.name);
        format!("name one with {option} {name}, or as {name}:{given}")
    }))
}
