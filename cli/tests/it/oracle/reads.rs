//! Random reads, and the ways to send one: over the daemon's socket as `docks` does, or with `docks` itself.

use std::time::Duration;

use docks_proto::client::{Deadlines, Reply, Request, UnixTransport};
use docks_proto::error::{ErrorBody, ErrorCode};
use docks_proto::freshness::{CachePolicy, Freshness};
use docks_proto::routes::RunKind;
use docks_proto::time::UnixMs;
use http::header;
use serde_json::Value;

use super::history::{Collection, History, Selection};
use super::world::STATUSES;
use crate::sealed::CommandResult;
use crate::test_home::{PATIENCE, TestHome};

/// What is read.
#[derive(Debug, Clone)]
pub(super) enum Read {
    Runs(RunKind, Selection),
    Run(RunKind, String),
    Trials(String, Selection),
    AllTrials(Selection),
    Trial(String, String),
}

/// Who is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    /// The daemon, over its socket.
    Socket,
    /// `docks`, which asks the daemon.
    Program,
    /// `docks --no-daemon`, which asks the remote.
    Direct,
}

/// What came of a read.
#[derive(Debug)]
pub(super) enum Outcome {
    Answer(Answer),
    /// The exit code.
    Refused(i32, String),
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    /// The rows of a list, or the object.
    pub(super) data: Value,
    /// When the remote confirmed it, if the answer says so.
    pub(super) as_of: Option<UnixMs>,
    /// Whether it says that rows may be missing.
    pub(super) is_incomplete: bool,
}

impl Read {
    /// Picks what to read, among all that ever was.
    pub(super) fn pick(rng: &mut fastrand::Rng, history: &History) -> Self {
        let kind = RunKind::ALL[rng.usize(..2)];
        let runs = history.ids(&Collection::Runs(kind));
        let evaluations = history.ids(&Collection::Runs(RunKind::Evaluation));
        let run = runs[rng.usize(..runs.len())].clone();
        let evaluation = evaluations[rng.usize(..evaluations.len())].clone();
        let trials = history.ids(&Collection::Trials(evaluation.clone()));
        match rng.u8(..20) {
            0..8 => Read::Runs(kind, Selection::of_runs(rng)),
            8..12 => Read::Run(kind, run),
            12..15 => Read::Trials(evaluation, Selection::of_trials(rng)),
            15..17 => Read::AllTrials(Selection::of_trials(rng)),
            _ if trials.is_empty() => Read::Run(kind, run),
            _ => Read::Trial(evaluation, trials[rng.usize(..trials.len())].clone()),
        }
    }

    /// Returns the arguments of the command.
    fn arguments(&self) -> String {
        match self {
            Read::Runs(RunKind::Run, selection) => format!("runs list {}", selection.arguments()),
            Read::Runs(RunKind::Evaluation, selection) => {
                format!("runs eval-list {}", selection.arguments())
            }
            Read::Run(RunKind::Run, id) => format!("runs get {id}"),
            Read::Run(RunKind::Evaluation, id) => format!("runs eval-get {id}"),
            Read::Trials(run, selection) => format!("runs trials {run} {}", selection.arguments()),
            Read::AllTrials(selection) => {
                format!("runs trials --all-runs {}", selection.arguments())
            }
            Read::Trial(run, trial) => format!("runs trial {run} {trial}"),
        }
    }

    /// Returns the path and query at the daemon.
    fn path(&self) -> String {
        let rest = match self {
            Read::Runs(kind, selection) => format!("{}?{}", kind.collection(), selection.query()),
            Read::Run(kind, id) => format!("{}/{id}", kind.collection()),
            Read::Trials(run, selection) => {
                format!("/harbor/runs/{run}/trials?{}", selection.query())
            }
            Read::AllTrials(selection) => format!("/harbor/trials?{}", selection.query()),
            Read::Trial(run, trial) => format!("/harbor/runs/{run}/trials/{trial}"),
        };
        format!("/tenants/ten{rest}")
    }
}

impl Selection {
    fn of_runs(rng: &mut fastrand::Rng) -> Self {
        let sorts = [None, None, Some("id"), Some("status"), Some("-created")];
        Self {
            limit: [0, 5, 20][rng.usize(..3)],
            sort: sorts[rng.usize(..sorts.len())],
            ..Self::with_statuses(rng, &STATUSES)
        }
    }

    fn of_trials(rng: &mut fastrand::Rng) -> Self {
        Self::with_statuses(rng, &["running", "success", "failed"])
    }

    fn with_statuses(rng: &mut fastrand::Rng, all: &[&'static str]) -> Self {
        let count = [0, 0, 1, 2][rng.usize(..4)];
        let mut statuses = all.to_vec();
        rng.shuffle(&mut statuses);
        statuses.truncate(count);
        Self {
            statuses,
            ..Self::default()
        }
    }

    fn arguments(&self) -> String {
        let mut arguments = format!("--limit {}", self.limit);
        if !self.statuses.is_empty() {
            arguments.push_str(&format!(" --status {}", self.statuses.join(",")));
        }
        if let Some(sort) = self.sort {
            arguments.push_str(&format!(" --sort {sort}"));
        }
        arguments
    }

    fn query(&self) -> String {
        let mut query = format!("limit={}", self.limit);
        for status in &self.statuses {
            query.push_str(&format!("&status={status}"));
        }
        if let Some(sort) = self.sort {
            query.push_str(&format!("&sort={sort}"));
        }
        query
    }
}

/// Picks how old the answer may be; ages are whole seconds, as on the socket.
pub(super) fn pick_policy(rng: &mut fastrand::Rng) -> CachePolicy {
    match rng.u8(..20) {
        0..8 => CachePolicy::NoCache,
        8..12 => CachePolicy::MaxAge(Duration::from_secs(rng.u64(1..4))),
        12..14 => CachePolicy::OnlyIfCached,
        _ => CachePolicy::Default,
    }
}

/// Reads over the socket.
pub(super) async fn read_from_socket(
    transport: &UnixTransport,
    read: &Read,
    policy: CachePolicy,
) -> Outcome {
    let mut request = Request::get(read.path());
    if let Some(value) = policy.to_header_value() {
        request.headers.insert(header::CACHE_CONTROL, value);
    }
    let reply = transport.send(request).await.unwrap();
    if reply.status.as_u16() != 200 {
        return refusal(&reply);
    }
    let freshness = Freshness::from_headers(&reply.headers).unwrap();
    Outcome::Answer(Answer {
        data: serde_json::from_slice(&reply.body).unwrap(),
        as_of: Some(freshness.as_of),
        is_incomplete: freshness.incomplete.is_some(),
    })
}

fn refusal(reply: &Reply) -> Outcome {
    let text = String::from_utf8_lossy(&reply.body).into_owned();
    Outcome::Refused(exit_code(reply), text)
}

/// Returns the exit code that `docks` has for an error of the daemon.
pub(super) fn exit_code(reply: &Reply) -> i32 {
    let body: ErrorBody = serde_json::from_slice(&reply.body).unwrap();
    match body.detail.code {
        ErrorCode::RunNotFound | ErrorCode::TrialNotFound | ErrorCode::NotFound => 3,
        ErrorCode::RemoteUnreachable | ErrorCode::RemoteBroken | ErrorCode::NotCached => 5,
        ErrorCode::FreshnessUnmet => 6,
        _ => 1,
    }
}

/// Returns the option that asks for an answer of this age.
pub(super) fn policy_option(policy: CachePolicy) -> String {
    match policy {
        CachePolicy::Default => String::new(),
        CachePolicy::NoCache => "--fresh".to_owned(),
        CachePolicy::OnlyIfCached => "--offline".to_owned(),
        CachePolicy::MaxAge(most) => format!("--max-age {}s", most.as_secs()),
    }
}

/// Returns a transport that is as patient as the test.
pub(super) fn transport(home: &TestHome) -> UnixTransport {
    let deadlines = Deadlines {
        connect: PATIENCE,
        answer: Some(PATIENCE),
        ..Deadlines::default()
    };
    UnixTransport::new(home.socket(), deadlines)
}

/// Reads with `docks`; with or without what it says about the age.
pub(super) fn read_with_program(
    home: &TestHome,
    read: &Read,
    policy: CachePolicy,
    is_direct: bool,
    with_meta: bool,
) -> Outcome {
    let policy = policy_option(policy);
    let direct = if is_direct { "--no-daemon" } else { "" };
    let meta = if with_meta { "--meta" } else { "" };
    let line = format!(
        "{} {policy} {direct} {meta} --format json",
        read.arguments()
    );
    let CommandResult {
        code,
        stdout,
        stderr,
    } = home.run(&line);
    if code != Some(0) {
        assert_eq!(stdout, "", "{line}: {stderr}");
        return Outcome::Refused(code.unwrap_or(-1), stderr);
    }
    let mut value: Value = serde_json::from_str(&stdout).unwrap();
    if !with_meta {
        return Outcome::Answer(Answer {
            data: value,
            as_of: None,
            is_incomplete: false,
        });
    }
    Outcome::Answer(Answer {
        as_of: UnixMs::parse(value["as_of"].as_str().unwrap()),
        is_incomplete: value["incomplete"] == true,
        data: value["data"].take(),
    })
}
