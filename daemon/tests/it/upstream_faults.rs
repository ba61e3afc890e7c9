//! Every way in which a remote can be broken, for every question, with and without a mirror:
//! asked of a whole daemon over its socket.

use std::time::Duration;

use docks_proto::client::Limits;
use docks_proto::freshness::{AnsweredBy, CachePolicy};
use docks_proto::routes::RunKind;
use futures_util::future::join_all;
use futures_util::{StreamExt, stream};

use crate::upstream_support::{Came, Question, Site};
use docksd_testkit::fake_remote::{FakeRemote, Fault, RemoteData};
use docksd_testkit::tls_proxy::{CertificateFlaw, TlsProxy};

/// Daemons at once: more only wait for the processor.
const AT_ONCE: usize = 8;

/// How long the remote was out of reach before the warm start: beyond every bound on age.
const AWAY: Duration = Duration::from_secs(3 * 3_600);

/// Runs of each kind, and trials of each evaluation run.
const RUNS: usize = 5;
const TRIALS: usize = 3;

/// What is wrong with the remote, or the way to it.
#[derive(Debug, Clone, PartialEq)]
enum Trouble {
    /// It answers, but not as it should.
    Plays(Fault),
    /// Nobody listens.
    Refused,
    /// Its name is unknown.
    UnknownName,
    /// Nobody vouches for its certificate.
    Distrusted,
}

/// What a question must come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Must {
    /// An answer, whatever is in it.
    Answer,
    /// The rows that were there before, and old.
    OldRows,
    /// This exit code of the CLI.
    Exit(u8),
    /// An answer, or this exit code.
    AnswerOr(u8),
}

/// Which remotes' answers cannot be used at all.
fn exit_of(trouble: &Trouble, list: bool) -> Option<u8> {
    let Trouble::Plays(fault) = trouble else {
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

fn cold(trouble: &Trouble, question: &Question) -> Must {
    match (exit_of(trouble, question.is_list()), trouble) {
        // The lists can be used, and may have brought the object by then.
        (Some(exit), Trouble::Plays(Fault::RepeatingCursor)) => Must::AnswerOr(exit),
        (Some(exit), _) => Must::Exit(exit),
        // Of a run that says it has no trials, there is none.
        (None, Trouble::Plays(Fault::Empty)) if matches!(question, Question::Trial(..)) => {
            Must::Exit(3)
        }
        // A run is looked for before its trials are.
        (None, Trouble::Plays(Fault::RepeatingCursor))
            if *question != Question::List(RunKind::Run)
                && *question != Question::List(RunKind::Evaluation) =>
        {
            Must::AnswerOr(5)
        }
        (None, _) => Must::Answer,
    }
}

fn warm(trouble: &Trouble, question: &Question) -> Must {
    match (exit_of(trouble, question.is_list()), trouble) {
        // It confirms what was asked about, and so may have been believed.
        (Some(_), Trouble::Plays(Fault::NotModifiedUnasked)) => Must::Answer,
        // The lists can be used, and bring the objects along.
        (Some(_), Trouble::Plays(Fault::RepeatingCursor)) => Must::Answer,
        (Some(_), _) => Must::OldRows,
        (None, _) => Must::Answer,
    }
}

fn fresh(trouble: &Trouble, question: &Question) -> Must {
    match (exit_of(trouble, question.is_list()), trouble) {
        // Objects keep their validator over a restart, and may have been asked about with it.
        (Some(_), Trouble::Plays(Fault::NotModifiedUnasked))
            if matches!(question, Question::Run(..) | Question::Trials(_)) =>
        {
            Must::AnswerOr(6)
        }
        (Some(5), _) => Must::Exit(6),
        (Some(exit), _) => Must::Exit(exit),
        // Said twice, it is believed of trials: a run may have lost them.
        (None, Trouble::Plays(Fault::Empty)) if matches!(question, Question::Trial(..)) => {
            Must::AnswerOr(3)
        }
        (None, _) => Must::Answer,
    }
}

/// A short deadline where one must pass, else one that a busy machine keeps.
fn limits(trouble: &Trouble) -> Limits {
    let silent = [Fault::Silence, Fault::StallAfterHeaders, Fault::Drip];
    let passes = silent
        .into_iter()
        .any(|fault| *trouble == Trouble::Plays(fault));
    let total = Duration::from_secs(if passes { 1 } else { 8 });
    Limits {
        connect: total,
        total,
        window: Duration::from_secs(3),
        least_bytes: 64,
        body_bytes: 4 << 20,
        insecure: false,
    }
}

struct Case {
    name: String,
    trouble: Trouble,
    site: Site,
    tls: Option<TlsProxy>,
    questions: Vec<Question>,
    before: RemoteData,
}

impl Case {
    async fn new(name: String, trouble: Trouble) -> Self {
        let data = RemoteData::sample(RUNS, TRIALS);
        let questions = Question::six(&data);
        let unknown = (trouble == Trouble::UnknownName).then_some("https://api.invalid");
        let site = Site::new(data.clone(), unknown, limits(&trouble)).await;
        let tls = match trouble {
            Trouble::Distrusted => Some(TlsProxy::start(&site.remote, CertificateFlaw::None).await),
            _ => None,
        };
        if let Some(front) = &tls {
            site.point_at(&front.url());
        }
        Self {
            name,
            trouble,
            site,
            tls,
            questions,
            before: data,
        }
    }

    /// The way to the remote while all is well.
    fn detour(&self) -> Option<String> {
        let astray = matches!(self.trouble, Trouble::UnknownName | Trouble::Distrusted);
        astray.then(|| self.site.remote.url())
    }

    async fn breaks(&mut self) {
        match self.trouble.clone() {
            Trouble::Plays(fault) => self.site.remote.fault(fault),
            Trouble::Refused => self.site.remote.close().await,
            Trouble::UnknownName | Trouble::Distrusted => {}
        }
    }

    async fn heals(&mut self) {
        match self.trouble {
            Trouble::Plays(_) => self.site.remote.clear(),
            Trouble::Refused => self.site.remote.reopen().await,
            Trouble::UnknownName | Trouble::Distrusted => {
                self.site.stop().await;
                self.site.start(self.detour()).await;
            }
        }
    }

    /// Asks all six together, so that what takes its deadline takes it once.
    async fn ask(&self, how: &str, allowed: CachePolicy, must: fn(&Trouble, &Question) -> Must) {
        let began = self.site.now();
        let asked = self.questions.iter().map(|q| self.site.ask(q, allowed));
        for (question, came) in self.questions.iter().zip(join_all(asked).await) {
            let about = format!("{} × {question:?} × {how}", self.name);
            let must = must(&self.trouble, question);
            match (&came, must) {
                (Came::Answer(_), Must::Answer | Must::AnswerOr(_)) => {}
                (Came::Answer(_), Must::OldRows) => self.check_old(&about, question, &came),
                (_, Must::Exit(exit) | Must::AnswerOr(exit)) => {
                    assert_eq!(came.exit(), exit, "{about}: {came:?}");
                }
                _ => panic!("{about}: must be {must:?}, came {came:?}"),
            }
            let Came::Answer(answer) = &came else {
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

    /// The answer is as it was before the remote broke, and says that it is old, and why.
    fn check_old(&self, about: &str, question: &Question, came: &Came) {
        let Came::Answer(answer) = came else { return };
        let truth = question.truth(&self.before);
        assert_eq!(question.objects(answer), truth, "{about}");
        let fresh = answer.freshness.as_ref().expect("every answer has an age");
        assert!(fresh.age >= AWAY, "{about}: {fresh:?}");
        assert!(fresh.is_stale(), "{about}: {fresh:?}");
        assert_eq!(fresh.answered_by, AnsweredBy::Mirror, "{about}");
    }

    /// A list that is an answer is a whole one, but where the remote itself says less.
    fn check_rows(&self, about: &str, question: &Question, rows: usize) {
        let whole = match question {
            Question::List(_) => RUNS,
            Question::Trials(_) => TRIALS,
            _ => 1,
        };
        let right = match self.trouble {
            Trouble::Plays(Fault::Empty) => rows <= whole,
            Trouble::Plays(Fault::PageDrift) => rows >= whole,
            _ => rows == whole,
        };
        assert!(right, "{about}: {rows} rows");
    }

    /// The token went where it belongs, every time, and to its tenant's paths only.
    fn check_requests(&self) {
        for seen in self.site.remote.log() {
            let token = seen.authorization.as_deref();
            assert_eq!(token, Some("Bearer s3cret"), "{}: {seen:?}", self.name);
            let ours = seen.target.starts_with("/tenants/ten/");
            assert!(ours, "{}: {seen:?}", self.name);
        }
    }

    /// What was wrong in the trials of a run that ended, and not in the run itself, is found by
    /// no sweep, only by asking.
    async fn asks_for_ended_trials(&self) {
        for run in self.before.trials.keys() {
            let question = Question::Trials(run.clone());
            let came = self.site.ask(&question, CachePolicy::NoCache).await;
            assert_eq!(came.exit(), 0, "{}: {came:?}", self.name);
        }
    }

    async fn ends(mut self) {
        self.heals().await;
        let unseen = [Fault::InvalidUtf8, Fault::Empty].map(Trouble::Plays);
        if unseen.contains(&self.trouble) {
            self.asks_for_ended_trials().await;
        }
        self.site.becomes_equal(&self.name).await;
        self.site.stop().await;
        self.check_requests();
        drop(self.tls);
    }
}

async fn cold_start(name: &str, trouble: Trouble) {
    let mut case = Case::new(format!("{name} × cold"), trouble).await;
    case.breaks().await;
    case.site.start(None).await;
    case.ask("default", CachePolicy::Default, cold).await;
    case.ends().await;
}

async fn warm_start(name: &str, trouble: Trouble) {
    let mut case = Case::new(format!("{name} × warm"), trouble).await;
    case.site.start(case.detour()).await;
    case.site.becomes_equal(&case.name).await;
    case.site.stop().await;
    case.breaks().await;
    case.site.advance(AWAY);
    case.site.start(None).await;
    case.ask("default", CachePolicy::Default, warm).await;
    case.ask("fresh", CachePolicy::NoCache, fresh).await;
    case.ask("default again", CachePolicy::Default, warm).await;
    case.ends().await;
}

#[derive(Debug, Clone, Copy)]
enum Start {
    Cold,
    Warm,
}

async fn play(name: &str, trouble: Trouble, start: Start) {
    match start {
        Start::Cold => cold_start(name, trouble).await,
        Start::Warm => warm_start(name, trouble).await,
    }
}

fn troubles(elsewhere: &str) -> Vec<(&'static str, Trouble)> {
    let mut all: Vec<_> = Fault::all()
        .into_iter()
        .map(|(name, fault)| match fault {
            Fault::RedirectCross(_) => (name, Fault::RedirectCross(elsewhere.to_owned())),
            fault => (name, fault),
        })
        .map(|(name, fault)| (name, Trouble::Plays(fault)))
        .collect();
    all.push(("connection refused", Trouble::Refused));
    all.push(("unknown name", Trouble::UnknownName));
    all.push(("unknown issuer", Trouble::Distrusted));
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_upstream_fault_has_its_exit_code_and_costs_no_row() {
    let elsewhere = FakeRemote::start(RemoteData::sample(RUNS, TRIALS)).await;
    let all = troubles(&elsewhere.url());
    let cases = all.into_iter().flat_map(|(name, trouble)| {
        [Start::Cold, Start::Warm].map(|start| {
            let case = play(name, trouble.clone(), start);
            // In a task of its own when it is its turn, so that a panic is one case's.
            async move { tokio::spawn(case).await }
        })
    });
    let mut cases = stream::iter(cases).buffer_unordered(AT_ONCE);
    let mut failed = Vec::new();
    while let Some(ended) = cases.next().await {
        failed.extend(ended.err().map(|error| error.to_string()));
    }
    assert!(failed.is_empty(), "{}: {failed:#?}", failed.len());
    let strayed = elsewhere.log();
    assert!(strayed.is_empty(), "another origin was asked: {strayed:?}");
}
