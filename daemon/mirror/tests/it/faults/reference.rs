//! An operation on a disk that does not fail: the states that a fault may leave, and how long it takes.

use std::time::{Duration, Instant};

use docksd_fault_vfs::Failure;

use super::database_files::{DatabaseFiles, dump};
use super::operations::Operation;
use super::steps::{Session, Step};
use super::wal::Wal;

/// What a file holds at one moment, and what clients are shown then, if the mirror is open.
#[derive(Debug)]
pub(super) struct State {
    pub(super) content: String,
    answer: Option<String>,
}

impl State {
    async fn of(session: &Session, files: &DatabaseFiles) -> Self {
        let answer = match session.is_open() {
            true => Some(session.read().await.unwrap()),
            false => None,
        };
        // A copy, so that nothing is done to the file of the session.
        let copy = DatabaseFiles::copy_of(&files.path);
        Self {
            content: dump(&copy.path).unwrap(),
            answer,
        }
    }
}

/// An operation on a disk that does not fail.
pub(super) struct Reference {
    /// Every state that a crash may leave, oldest first.
    pub(super) states: Vec<State>,
    /// The last state after each step, beginning with the one before the first step.
    pub(super) after: Vec<usize>,
    /// How long each step takes.
    pub(super) times: Vec<Duration>,
}

impl Reference {
    pub(super) async fn of(operation: &Operation) -> Self {
        let (files, mut session) = operation.start().await;
        let mut states = vec![State::of(&session, &files).await];
        let mut after = vec![0];
        for step in &operation.steps {
            for part in step.parts() {
                session.take(&part).await.unwrap().unwrap();
                if matches!(part, Step::Open) {
                    states.extend(states_in_log(&files));
                }
                states.push(State::of(&session, &files).await);
            }
            after.push(states.len() - 1);
        }
        session.close_if_open().await.unwrap();
        Self {
            states,
            after,
            times: vec![Duration::ZERO; operation.steps.len()],
        }
    }

    /// Returns how many calls can fail like this, and notes how long the steps take meanwhile.
    pub(super) async fn count_calls(&mut self, operation: &Operation, failure: Failure) -> u64 {
        let files = DatabaseFiles::copy_of(&operation.file.path);
        let mut session = operation.start_with(&files).await;
        files.disk.count(failure);
        for (step, time) in operation.steps.iter().zip(&mut self.times) {
            let began = Instant::now();
            session.take(step).await.unwrap().unwrap();
            *time = began.elapsed().max(*time);
        }
        let (calls, _) = files.disk.mend();
        session.close_if_open().await.unwrap();
        calls
    }

    /// Returns the content after a file that was left in state `number` is opened.
    pub(super) fn content_when_opened(&self, number: usize, operation: &Operation) -> &str {
        let open = operation.steps.iter().position(|s| matches!(s, Step::Open));
        let first = open.map_or(0, |step| self.after[step + 1]);
        &self.states[number.max(first)].content
    }
}

/// Returns the state after each commit that the log holds.
fn states_in_log(files: &DatabaseFiles) -> Vec<State> {
    let database = std::fs::read(&files.path).unwrap();
    let log = std::fs::read(files.wal()).unwrap();
    if log.is_empty() {
        return Vec::new();
    }
    let wal = Wal::new(log);
    let state = |end: usize| {
        let cut = DatabaseFiles::of_bytes(&database, &wal.bytes[..end]);
        State {
            content: dump(&cut.path).unwrap(),
            answer: None,
        }
    };
    wal.commit_ends().into_iter().map(state).collect()
}

/// Returns the states after the writes that were acknowledged, then with more and more of those after
/// the last of these, until one has `content`.
///
/// A write that failed changes nothing, unless nothing was written after it.
pub(super) async fn states_after_some(
    operation: &Operation,
    writes: &[Step],
    acknowledged: &[bool],
    content: &str,
) -> Vec<State> {
    let last = acknowledged.iter().rposition(|a| *a);
    let tail = last.map_or(0, |last| last + 1);
    let mut states = Vec::new();
    for end in tail..=writes.len() {
        let (files, mut session) = operation.start().await;
        for (number, write) in writes[..end].iter().enumerate() {
            if acknowledged[number] || number >= tail {
                session.take(write).await.unwrap().unwrap();
            }
        }
        session.close_if_open().await.unwrap();
        states.push(State::of(&session, &files).await);
        if states[states.len() - 1].content == content {
            break;
        }
    }
    states
}

/// Returns which of the states has this content.
pub(super) fn find_state(content: &str, possible: &[State]) -> Result<usize, String> {
    // The last one, since some steps change nothing.
    let found = possible.iter().rposition(|state| state.content == content);
    found.ok_or_else(|| {
        let expected = &possible[possible.len() - 1].content;
        let differs = expected.lines().zip(content.lines()).find(|(a, b)| a != b);
        format!(
            "it holds neither the old nor the new state: {differs:?}, {} lines instead of {}",
            content.lines().count(),
            expected.lines().count()
        )
    })
}

/// Checks that clients are shown one of the states.
pub(super) fn check_answer(answer: &str, possible: &[State]) -> Result<(), String> {
    let mut answers = possible.iter().filter_map(|state| state.answer.as_deref());
    match answers.any(|possible| possible == answer) {
        true => Ok(()),
        false => Err("a read shows neither the old nor the new state".into()),
    }
}
