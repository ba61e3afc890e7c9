//! Every fault of a remote, for every request, with and without a mirror, through a complete daemon and its
//! socket.

use std::time::Duration;

use docks_proto::client::Limits;
use docks_proto::freshness::{AnsweredBy, CachePolicy};
use docks_proto::routes::RunKind;
use futures_util::future::join_all;
use futures_util::{StreamExt, stream};

use crate::upstream_support::{Outcome, Question, Site};
use docksd_testkit::fake_remote::{FakeRemote, Fault, RemoteData};
use docksd_testkit::tls_proxy::{CertificateFlaw, TlsProxy};

/// Daemons at once; more would only wait for the processor.
const CONCURRENCY: usize = 8;

/// How long the remote was down before the warm start: longer than every limit of age.
const DOWNTIME: Duration = Duration::from_secs(3 * 3_600);

/// Runs of each kind, and trials of each evaluation run.
const RUNS: usize = 5;
const TRIALS: usize = 3;

/// What is wrong with the remote or the connection to it.
#[derive(Debug, Clone, PartialEq)]
enum Problem {
    /// It has a fault.
    Fault(Fault),
    /// It does not listen.
    Refused,
    /// Its name is unknown.
    UnknownName,
    /// Its certificate is not trusted.
    Distrusted,
}

/// What a request expected lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// An answer, with any content.
    Answer,
    /// The earlier rows, marked as stale.
    StaleRows,
    /// This exit code of the CLI.
    Exit(u8),
    /// An answer, or this exit code.
    AnswerOr(u8),
}

/// The exit code if the remote's response cannot be used at all.
fn unusable_exit_code(problem: &Problem, list: bool) -> Option<u8> {
    let Problem::Fault(fault) = problem else {
        return Some(5);
    };
    match fault {
        Fault::LongBody
        | Fault::NullFields
        | Fault::UnknownFields
        | Fault::Empty
        | Fault::Duplicates
        | Fault::PageDrift
        | Fault::ClockSkew(_)
        | Fault::StatusBackwards
        | Fault::InvalidUtf8 => None,
        Fault::RepeatingCursor if list => None,
        Fault::TooMany(_) => Some(7),
        Fault::Unauthorized | Fault::Forbidden => Some(4),
        Fault::NotFound => Some(3),
        _ => Some(5),
    }
}

fn cold(problem: &Problem, question: &Question) -> Expected {
    match (unusable_exit_code(problem, question.is_list()), problem) {
        // The lists can be used, and may already contain the object.
        (Some(exit), Problem::Fault(Fault::RepeatingCursor)) => Expected::AnswerOr(exit),
        (Some(exit), _) => Expected::Exit(exit),
        // A run whose list of trials is empty has no trial.
        (None, Problem::Fault(Fault::Empty)) if matches!(question, Question::Trial(..)) => {
            Expected::Exit(3)
        }
        // The run is resolved before its trials.
        (None, Problem::Fault(Fault::RepeatingCursor))
            if *question != Question::List(RunKind::Run)
                && *question != Question::List(RunKind::Evaluation) =>
        {
            Expected::AnswerOr(5)
        }
        (None, _) => Expected::Answer,
    }
}

fn warm(problem: &Problem, question: &Question) -> Expected {
    match (unusable_exit_code(problem, question.is_list()), problem) {
        // It confirms the requested version, so it may have been accepted.
        (Some(_), Problem::Fault(Fault::NotModifiedUnasked)) => Expected::Answer,
        // The lists can be used, and contain the objects.
        (Some(_), Problem::Fault(Fault::RepeatingCursor)) => Expected::Answer,
        (Some(_), _) => Expected::StaleRows,
        (None, _) => Expected::Answer,
    }
}

fn fresh(problem: &Problem, question: &Question) -> Expected {
    match (unusable_exit_code(problem, question.is_list()), problem) {
        // Objects keep their validator over a restart, so the request may have had one.
        (Some(_), Problem::Fault(Fault::NotModifiedUnasked))
            if matches!(question, Question::Run(..) | Question::Trials(_)) =>
        {
            Expected::AnswerOr(6)
        }
        (Some(5), _) => Expected::Exit(6),
        (Some(exit), _) => Expected::Exit(exit),
        // After two such answers it is accepted for trials: a run may have lost them.
        (None, Problem::Fault(Fault::Empty)) if matches!(question, Question::Trial(..)) => {
            Expected::AnswerOr(3)
        }
        (None, _) => Expected::Answer,
    }
}

/// A short timeout if one expected fire, else one that a busy machine can meet.
fn limits(problem: &Problem) -> Limits {
    let silent = [Fault::Silence, Fault::StallAfterHeaders, Fault::Drip];
    let must_fire = silent
        .into_iter()
        .any(|fault| *problem == Problem::Fault(fault));
    let total = Duration::from_secs(if must_fire { 1 } else { 8 });
    Limits {
        connect: total,
        total,
        window: Duration::from_secs(3),
        least_bytes: 64,
        body_bytes: 4 << 20,
        idle_connection: Duration::from_secs(90),
        insecure: false,
    }
}

struct Case {
    name: String,
    problem: Problem,
    site: Site,
    tls: Option<TlsProxy>,
    questions: Vec<Question>,
    before: RemoteData,
}

impl Case {
    async fn new(name: String, problem: Problem) -> Self {
        let data = RemoteData::sample(RUNS, TRIALS);
        let questions = Question::six(&data);
        let unknown = (problem == Problem::UnknownName).then_some("https://api.invalid");
        let site = Site::new(data.clone(), unknown, limits(&problem)).await;
        let tls = match problem {
            Problem::Distrusted => Some(TlsProxy::start(&site.remote, CertificateFlaw::None).await),
            _ => None,
        };
        if let Some(front) = &tls {
            site.point_at(&front.url());
        }
        Self {
            name,
            problem,
            site,
            tls,
            questions,
            before: data,
        }
    }

    /// A working address of the remote, if that of the profile does not work.
    fn detour(&self) -> Option<String> {
        let unreachable = matches!(self.problem, Problem::UnknownName | Problem::Distrusted);
        unreachable.then(|| self.site.remote.url())
    }

    async fn inject(&mut self) {
        match self.problem.clone() {
            Problem::Fault(fault) => self.site.remote.fault(fault),
            Problem::Refused => self.site.remote.close().await,
            Problem::UnknownName | Problem::Distrusted => {}
        }
    }

    async fn repair(&mut self) {
        match self.problem {
            Problem::Fault(_) => self.site.remote.clear(),
            Problem::Refused => self.site.remote.reopen().await,
            Problem::UnknownName | Problem::Distrusted => {
                self.site.stop().await;
                self.site.start(self.detour()).await;
            }
        }
    }

    /// Sends all six requests at the same time, so that timeouts are waited for only once.
    async fn check_requests_with(
        &self,
        how: &str,
        allowed: CachePolicy,
        expected: fn(&Problem, &Question) -> Expected,
    ) {
        let began = self.site.now();
        let sent = self.questions.iter().map(|q| self.site.ask(q, allowed));
        for (question, outcome) in self.questions.iter().zip(join_all(sent).await) {
            let about = format!("{} × {question:?} × {how}", self.name);
            let expected = expected(&self.problem, question);
            match (&outcome, expected) {
                (Outcome::Answer(_), Expected::Answer | Expected::AnswerOr(_)) => {}
                (Outcome::Answer(_), Expected::StaleRows) => {
                    self.check_stale(&about, question, &outcome)
                }
                (_, Expected::Exit(exit) | Expected::AnswerOr(exit)) => {
                    assert_eq!(outcome.exit(), exit, "{about}: {outcome:?}");
                }
                _ => panic!("{about}: expected {expected:?}, got {outcome:?}"),
            }
            let Outcome::Answer(answer) = &outcome else {
                continue;
            };
            let fresh = answer.freshness.as_ref().expect("every answer has an age");
            if allowed == CachePolicy::NoCache {
                assert_eq!(fresh.answered_by, AnsweredBy::Remote, "{about}");
                assert!(fresh.as_of >= began, "{about}: {fresh:?} {began:?}");
            }
            self.check_rows(&about, question, question.objects(answer).len());
        }
    }

    /// Checks that an answer is the same as before the fault, and says that it is stale and why.
    fn check_stale(&self, about: &str, question: &Question, outcome: &Outcome) {
        let Outcome::Answer(answer) = outcome else {
            return;
        };
        let truth = question.truth(&self.before);
        assert_eq!(question.objects(answer), truth, "{about}");
        let fresh = answer.freshness.as_ref().expect("every answer has an age");
        assert!(fresh.age >= DOWNTIME, "{about}: {fresh:?}");
        assert!(fresh.is_stale(), "{about}: {fresh:?}");
        assert_eq!(fresh.answered_by, AnsweredBy::Mirror, "{about}");
    }

    /// Checks that a list is complete, unless the remote itself returned less.
    fn check_rows(&self, about: &str, question: &Question, rows: usize) {
        let complete = match question {
            Question::List(_) => RUNS,
            Question::Trials(_) => TRIALS,
            _ => 1,
        };
        let is_right = match self.problem {
            Problem::Fault(Fault::Empty) => rows <= complete,
            Problem::Fault(Fault::PageDrift) => rows >= complete,
            _ => rows == complete,
        };
        assert!(is_right, "{about}: {rows} rows");
    }

    /// Checks that every request had the token and was for the paths of its tenant.
    fn check_request_log(&self) {
        for seen in self.site.remote.log() {
            let token = seen.authorization.as_deref();
            assert_eq!(token, Some("Bearer s3cret"), "{}: {seen:?}", self.name);
            let in_tenant = seen.target.starts_with("/tenants/ten/");
            assert!(in_tenant, "{}: {seen:?}", self.name);
        }
    }

    /// Fetches the trials of ended runs. No sweep notices wrong trials of a run that itself is right.
    async fn refetch_ended_trials(&self) {
        for run in self.before.trials.keys() {
            let question = Question::Trials(run.clone());
            let outcome = self.site.ask(&question, CachePolicy::NoCache).await;
            assert_eq!(outcome.exit(), 0, "{}: {outcome:?}", self.name);
        }
    }

    async fn finish(mut self) {
        self.repair().await;
        let unnoticed = [Fault::InvalidUtf8, Fault::Empty].map(Problem::Fault);
        if unnoticed.contains(&self.problem) {
            self.refetch_ended_trials().await;
        }
        self.site.becomes_equal(&self.name).await;
        self.site.stop().await;
        self.check_request_log();
        drop(self.tls);
    }
}

async fn cold_start(name: &str, problem: Problem) {
    let mut case = Case::new(format!("{name} × cold"), problem).await;
    case.inject().await;
    case.site.start(None).await;
    case.check_requests_with("default", CachePolicy::Default, cold)
        .await;
    case.finish().await;
}

async fn warm_start(name: &str, problem: Problem) {
    let mut case = Case::new(format!("{name} × warm"), problem).await;
    case.site.start(case.detour()).await;
    case.site.becomes_equal(&case.name).await;
    case.site.stop().await;
    case.inject().await;
    case.site.advance(DOWNTIME);
    case.site.start(None).await;
    case.check_requests_with("default", CachePolicy::Default, warm)
        .await;
    case.check_requests_with("fresh", CachePolicy::NoCache, fresh)
        .await;
    case.check_requests_with("default again", CachePolicy::Default, warm)
        .await;
    case.finish().await;
}

#[derive(Debug, Clone, Copy)]
enum Start {
    Cold,
    Warm,
}

async fn check_case(name: &str, problem: Problem, start: Start) {
    match start {
        Start::Cold => cold_start(name, problem).await,
        Start::Warm => warm_start(name, problem).await,
    }
}

fn problems(elsewhere: &str) -> Vec<(&'static str, Problem)> {
    let mut all: Vec<_> = Fault::all()
        .into_iter()
        .map(|(name, fault)| match fault {
            Fault::RedirectCross(_) => (name, Fault::RedirectCross(elsewhere.to_owned())),
            fault => (name, fault),
        })
        .map(|(name, fault)| (name, Problem::Fault(fault)))
        .collect();
    all.push(("connection refused", Problem::Refused));
    all.push(("unknown name", Problem::UnknownName));
    all.push(("unknown issuer", Problem::Distrusted));
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_of_the_remote_has_its_exit_code_and_loses_no_row() {
    let elsewhere = FakeRemote::start(RemoteData::sample(RUNS, TRIALS)).await;
    let all = problems(&elsewhere.url());
    let cases = all.into_iter().flat_map(|(name, problem)| {
        [Start::Cold, Start::Warm].map(|start| {
            let case = check_case(name, problem.clone(), start);
            // In its own task, so that a panic fails only this case.
            async move { tokio::spawn(case).await }
        })
    });
    let mut cases = stream::iter(cases).buffer_unordered(CONCURRENCY);
    let mut failed = Vec::new();
    while let Some(ended) = cases.next().await {
        failed.extend(ended.err().map(|error| error.to_string()));
    }
    assert!(failed.is_empty(), "{}: {failed:#?}", failed.len());
    let redirected = elsewhere.log();
    assert!(
        redirected.is_empty(),
        "requests to another origin: {redirected:?}"
    );
}
