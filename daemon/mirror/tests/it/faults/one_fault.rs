//! One operation on a disk that fails at one call, and what must hold then.

use std::error::Error;
use std::time::{Duration, Instant};

use docksd_fault_vfs::{Failure, Plan};
use docksd_mirror::MirrorError;

use super::database_files::{DatabaseFiles, dump};
use super::operations::Operation;
use super::reference::{Reference, State, check_answer, find_state, states_after_some};
use super::steps::{Session, Step, StepFailure};

/// Figures of the faults that were tried.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) points: usize,
    /// Points whose call was made, so that it failed.
    pub(super) failed_calls: usize,
    /// Points at which a step failed for it.
    pub(super) failed_steps: usize,
    /// Longest time of an answer beyond the one without a fault.
    pub(super) longest_delay: Duration,
}

/// Takes the steps of an operation while the disk fails as planned, and checks what clients are told and
/// what a crash would leave; then finishes the operation on a sound disk.
pub(super) async fn try_fault(
    operation: &Operation,
    reference: &Reference,
    plan: Plan,
    tally: &mut Tally,
) -> Result<(), String> {
    let files = DatabaseFiles::copy_of(&operation.file.path);
    let mut session = operation.start_with(&files).await;
    files.disk.fail(plan);
    tally.points += 1;
    let (done, failure) = take_steps(operation, reference, &mut session, plan, tally).await?;
    let crashed = DatabaseFiles::copy_of(&files.path);
    let possible = Possible::after(operation, reference, done, failure.as_ref(), &crashed).await?;
    if session.is_open() && !plan.once {
        let began = Instant::now();
        let answer = session.try_read().await?;
        tally.longest_delay = began.elapsed().max(tally.longest_delay);
        match answer {
            Ok(answer) => check_answer(&answer, possible.states(reference))?,
            // A disk that is full can be read.
            Err(error) if plan.failure == Failure::Io => check_error(&error, plan)?,
            Err(error) => return Err(format!("reads do not go on: {}", chain(&error))),
        }
    }
    let (_, failed_calls) = files.disk.mend();
    tally.failed_calls += usize::from(failed_calls > 0);
    tally.failed_steps += usize::from(failure.is_some());
    check_after_crash(&crashed, &possible, reference, operation)
        .await
        .map_err(|what| format!("after a crash, {what}"))?;
    if session.is_open() {
        let answer = session.try_read().await?;
        let answer = answer.map_err(|error| format!("reads do not go on: {}", chain(&error)))?;
        check_answer(&answer, possible.states(reference))?;
    }
    // What failed is done again, and the rest. Writes that were waiting when the mirror was closed are not.
    let is_closed = matches!(possible, Possible::Some(_))
        || matches!(
            operation.steps[..done].last(),
            Some(Step::CloseWhileWriting(_))
        );
    let rest = if is_closed {
        &[]
    } else {
        &operation.steps[done..]
    };
    for step in rest {
        let result = session.take(step).await?;
        result.map_err(|failure| format!("{step:?} still fails: {failure:?}"))?;
    }
    session.close_if_open().await?;
    let last = match &possible {
        Possible::Some(states) => states,
        Possible::Between(..) => &reference.states[reference.states.len() - 1..],
    };
    find_state(&dump(&files.path)?, last)?;
    check_not_called_damaged(&session, &files, plan.failure)
}

/// Takes the steps until one fails; returns how many succeeded, and why the next one did not.
async fn take_steps(
    operation: &Operation,
    reference: &Reference,
    session: &mut Session,
    plan: Plan,
    tally: &mut Tally,
) -> Result<(usize, Option<StepFailure>), String> {
    for (done, step) in operation.steps.iter().enumerate() {
        let began = Instant::now();
        let result = session.take(step).await?;
        let delay = began.elapsed().saturating_sub(reference.times[done]);
        tally.longest_delay = delay.max(tally.longest_delay);
        if let Err(failure) = result {
            for error in &failure.errors {
                check_error(error, plan)?;
            }
            return Ok((done, Some(failure)));
        }
    }
    Ok((operation.steps.len(), None))
}

/// The states that a fault may leave.
enum Possible {
    /// Those of the reference from the first to the last number.
    Between(usize, usize),
    /// Those after some of the writes that were waiting when the mirror was closed.
    Some(Vec<State>),
}

impl Possible {
    /// Returns those after `done` steps, when the next one failed or there was none.
    async fn after(
        operation: &Operation,
        reference: &Reference,
        done: usize,
        failure: Option<&StepFailure>,
        crashed: &DatabaseFiles,
    ) -> Result<Self, String> {
        let Some(failure) = failure else {
            return Ok(Self::Between(reference.after[done], reference.after[done]));
        };
        let Step::CloseWhileWriting(writes) = &operation.steps[done] else {
            return Ok(Self::Between(
                reference.after[done],
                reference.after[done + 1],
            ));
        };
        let content = dump(&DatabaseFiles::copy_of(&crashed.path).path)?;
        let states = states_after_some(operation, writes, &failure.acknowledged, &content);
        Ok(Self::Some(states.await))
    }

    fn states<'a>(&'a self, reference: &'a Reference) -> &'a [State] {
        match self {
            Self::Between(first, last) => &reference.states[*first..=*last],
            Self::Some(states) => states,
        }
    }
}

/// Checks the files that a crash would have left.
async fn check_after_crash(
    crashed: &DatabaseFiles,
    possible: &Possible,
    reference: &Reference,
    operation: &Operation,
) -> Result<(), String> {
    let copy = DatabaseFiles::copy_of(&crashed.path);
    let found = find_state(&dump(&copy.path)?, possible.states(reference))?;
    let expected = match possible {
        Possible::Between(first, _) => reference.content_when_opened(first + found, operation),
        Possible::Some(states) => &states[found].content,
    };
    let mut session = Session::at(&crashed.path);
    for step in [Step::Open, Step::Read, Step::Close] {
        let result = session.take(&step).await?;
        result.map_err(|failure| format!("{step:?} fails: {failure:?}"))?;
    }
    match dump(&crashed.path)? == expected {
        true => check_not_called_damaged(&session, crashed, Failure::Io),
        false => Err("opening it changes what it holds".into()),
    }
}

fn check_not_called_damaged(
    session: &Session,
    files: &DatabaseFiles,
    failure: Failure,
) -> Result<(), String> {
    if session.was_set_aside || !files.others().is_empty() {
        return Err(format!("the file was set aside: {:?}", files.others()));
    }
    match session.was_called_damaged && failure != Failure::UnreadableSector {
        true => Err("the mirror was called damaged".into()),
        false => Ok(()),
    }
}

/// Checks that an error says what failed.
fn check_error(error: &MirrorError, plan: Plan) -> Result<(), String> {
    let text = chain(error);
    let causes = [
        "disk I/O error",
        "database or disk is full",
        "unable to open database file",
    ];
    let is_of_disk = causes.iter().any(|cause| text.contains(cause)) && error.is_of_place();
    // SQLite tells a sector that cannot be read from one that has changed only at the next attempt.
    let may_be_damage =
        plan.failure == Failure::UnreadableSector && text.contains("disk image is malformed");
    match is_of_disk || may_be_damage {
        true => Ok(()),
        false => Err(format!("an unclear error: {text} ({error:?})")),
    }
}

fn chain(error: &MirrorError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
