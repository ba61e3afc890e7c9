//! Whom a request is sent to, with sockets and programs that misbehave.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener as BlockingListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use docks_proto::credentials::files;
use docks_proto::paths::PathVariables;
use docks_proto::query::ListQuery;
use docks_proto::routes::{self, RunKind};
use docks_proto::settings::Environment as Variables;
use docks_proto::time::UnixMs;
use http::header;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

use super::*;
use crate::args::Global;
use crate::environment::NOT_INHERITED;
use crate::failure::Kind;
use crate::output::{Output, OutputStyle};

struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        let home = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        files::create_private_dir(&home.path("run")).unwrap();
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("docks").join(name)
    }

    /// A program in place of docksd, which writes `report` and records that it ran.
    fn program(&self, report: &str) -> PathBuf {
        let program = self.path("fake-docksd");
        let record = self.path("record");
        let script = format!(
            "#!/bin/sh\nenv > '{0}.env'\necho \"$*\" >> '{0}'\necho '{report}'\n",
            record.display()
        );
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
        program
    }

    fn environment(&self, docksd: &Path) -> Environment {
        Environment {
            settings: Variables {
                api_url: Some("http://127.0.0.1:9".to_owned()),
                tenant_id: Some("t".to_owned()),
                token: Some("tok".to_owned()),
                ..Variables::default()
            },
            places: PathVariables {
                docks_home: Some(self.path("")),
                ..PathVariables::default()
            },
            docksd: Some(docksd.to_owned()),
            ..Environment::default()
        }
    }

    /// The global options for a jobs directory.
    fn jobs(&self) -> Global {
        Global {
            harbor: vec![self.dir.path().to_owned()],
            ..Global::default()
        }
    }

    fn requester<'a>(&self, context: &'a Context, docksd: &Path) -> Requester<'a> {
        Requester::with_environment(context, self.environment(docksd)).unwrap()
    }

    fn runs_of_program(&self) -> usize {
        fs::read_to_string(self.path("record")).map_or(0, |text| text.lines().count())
    }
}

fn context(global: Global) -> Context {
    Context {
        global,
        output: std::sync::Arc::new(Output::new(OutputStyle::default())),
        now: UnixMs::now(),
    }
}

async fn list(client: &Client) -> Result<Answer, ClientError> {
    client
        .list_runs(RunKind::Run, &ListQuery::default(), CachePolicy::Default)
        .await
}

/// Returns why the remote is asked instead of the daemon.
fn reason(server: Server) -> Option<String> {
    match server {
        Server::Remote { reason, .. } => reason,
        Server::Daemon(_) => panic!("the daemon was chosen"),
    }
}

/// Sends a request to the daemon that should be running, and chooses a server after its failure.
async fn fail_once(requester: &Requester<'_>) -> Result<Option<Server>, Failure> {
    let Server::Daemon(client) = requester.first_server().await.unwrap() else {
        panic!("the socket was not tried");
    };
    let error = list(&client).await.expect_err("nobody answers here");
    let mut attempts = Attempts::default();
    requester.after_daemon(&error, &mut attempts).await
}

/// A daemon of another protocol, which exits on request; counts those requests.
async fn other_protocol(socket: PathBuf, shutdowns: Arc<AtomicUsize>) {
    let listener = UnixListener::bind(&socket).unwrap();
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut text = [0; 4096];
        let read = stream.read(&mut text).await.unwrap_or(0);
        let answer = b"HTTP/1.1 200 OK\r\ndocks-protocol: 9999\r\ncontent-length: 2\r\n\r\n{}";
        // A caller that only checks whether the socket accepts is gone by now.
        drop(stream.write_all(answer).await);
        if text[..read].starts_with(b"POST /v1/shutdown ") {
            shutdowns.fetch_add(1, Ordering::SeqCst);
            break;
        }
    }
    fs::remove_file(&socket).unwrap();
}

#[tokio::test]
async fn the_remote_is_asked_instead_of_a_silent_daemon() {
    let home = Home::new();
    let program = home.program("unused");
    let _silent = BlockingListener::bind(home.path("run/docksd.sock")).unwrap();
    let context = context(Global::default());
    let requester = home.requester(&context, &program);
    let server = fail_once(&requester).await.unwrap().unwrap();
    let reason = reason(server).unwrap();
    assert!(reason.contains("does not answer"), "{reason}");
    assert!(reason.contains(&std::process::id().to_string()), "{reason}");
    let error = ClientError::InvalidReply("the remote is down".to_owned());
    let mut attempts = Attempts::default();
    let again = requester.after_remote(&error, &mut attempts).await;
    assert!(again.is_none(), "it is not waited for twice");
    assert_eq!(home.runs_of_program(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_silent_daemon_is_waited_for_where_only_it_can_answer() {
    let home = Home::new();
    let program = home.program("unused");
    let silent = UnixListener::bind(home.path("run/docksd.sock")).unwrap();
    let context = context(home.jobs());
    let requester = home.requester(&context, &program);
    let query = ListQuery::default();
    let mut response = Box::pin(requester.request(Request::Runs(RunKind::Run, &query)));
    // The clock runs ahead of a command that only waits.
    let an_hour = timeout(Duration::from_secs(3_600), &mut response).await;
    assert!(an_hour.is_err(), "it gave up: {an_hour:?}");
    assert_eq!(home.runs_of_program(), 0, "nobody else is started");
    let (mut stream, _) = silent.accept().await.unwrap();
    let protocol = docks_proto::PROTOCOL;
    let answer =
        format!("HTTP/1.1 200 OK\r\ndocks-protocol: {protocol}\r\ncontent-length: 2\r\n\r\n[]");
    stream.write_all(answer.as_bytes()).await.unwrap();
    assert_eq!(response.await.unwrap().body, "[]");
}

#[tokio::test]
async fn a_silent_daemon_is_a_failure_for_a_caller_that_tries_again() {
    let home = Home::new();
    let program = home.program("unused");
    let _silent = BlockingListener::bind(home.path("run/docksd.sock")).unwrap();
    let context = context(home.jobs());
    let requester = home.requester(&context, &program);
    let requester = requester.patience(WaitPolicy::Limited);
    let failure = fail_once(&requester)
        .await
        .expect_err("a jobs directory has no other reader");
    assert_eq!(failure.kind, Kind::Unreachable);
    assert!(failure.message.contains("does not answer"));
}

#[tokio::test]
async fn a_stale_socket_leads_to_a_new_daemon_and_meanwhile_the_remote() {
    let home = Home::new();
    let program = home.program(r#"{"ready":true,"pid":1}"#);
    drop(BlockingListener::bind(home.path("run/docksd.sock")).unwrap());
    let context = context(Global::default());
    let requester = home.requester(&context, &program);
    let server = fail_once(&requester).await.unwrap().unwrap();
    assert_eq!(reason(server), None);
    assert_eq!(wait_for_start(&requester).await, Ok(()));
    assert_eq!(home.runs_of_program(), 1, "it was started once");
}

async fn wait_for_start(requester: &Requester<'_>) -> Result<(), Failure> {
    let (starter, endpoint) = (&requester.starter, &requester.remote.endpoint);
    starter.start(endpoint, WaitPolicy::Limited).await
}

#[tokio::test]
async fn the_daemon_inherits_nothing_that_selects_a_remote() {
    // The variables of this very process count, since a child inherits those.
    let home = Home::new();
    let program = home.program(r#"{"ready":true,"pid":1}"#);
    let context = context(Global::default());
    let requester = home.requester(&context, &program);
    wait_for_start(&requester).await.unwrap();
    let inherited = fs::read_to_string(home.path("record.env")).unwrap();
    for name in NOT_INHERITED {
        assert!(!inherited.contains(&format!("{name}=")), "{name}");
    }
    assert_eq!(
        fs::read_to_string(home.path("record")).unwrap(),
        "--report\n"
    );
}

#[tokio::test]
async fn a_daemon_of_another_protocol_is_asked_to_exit_and_replaced() {
    let home = Home::new();
    let program = home.program(r#"{"ready":true,"pid":1}"#);
    let shutdowns = Arc::new(AtomicUsize::new(0));
    let other = tokio::spawn(other_protocol(
        home.path("run/docksd.sock"),
        Arc::clone(&shutdowns),
    ));
    tokio::task::yield_now().await;
    let context = context(Global::default());
    let requester = home.requester(&context, &program);
    let server = fail_once(&requester).await.unwrap().unwrap();
    assert_eq!(reason(server), None);
    other.await.unwrap();
    assert_eq!(shutdowns.load(Ordering::SeqCst), 1);
    wait_for_start(&requester).await.unwrap();
    assert_eq!(home.runs_of_program(), 1);
}

#[tokio::test]
async fn a_daemon_that_cannot_start_reports_its_reason() {
    let home = Home::new();
    let context = context(home.jobs());
    let program = home.program(r#"{"ready":false,"reason":"the disk is full","code":"x"}"#);
    let failure = async || {
        let requester = home.requester(&context, &program);
        let failure = requester.first_server().await;
        failure.expect_err("it did not start").message
    };
    assert_eq!(failure().await, "docksd did not start: the disk is full");
    home.program("hello");
    let message = failure().await;
    assert!(message.contains("report is not valid"), "{message}");
    fs::write(&program, "#!/bin/sh\nexit 3\n").unwrap();
    let message = failure().await;
    let silent = "docksd exited without reporting a reason (exit status: 3)";
    assert_eq!(message, silent);
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_starts_slowly_is_waited_for_where_only_it_can_answer() {
    let home = Home::new();
    let (program, go) = (home.path("slow-docksd"), home.path("go"));
    let script = format!(
        "#!/bin/sh\nwhile [ ! -e '{}' ]; do sleep 0.05; done\necho '{{\"ready\":true}}'\n",
        go.display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    let context = context(home.jobs());
    let requester = home.requester(&context, &program);
    let mut server = Box::pin(requester.first_server());
    let an_hour = timeout(Duration::from_secs(3_600), &mut server).await;
    assert!(an_hour.is_err(), "it gave up");
    fs::write(go, "").unwrap();
    assert!(matches!(server.await, Ok(Server::Daemon(_))));
}

#[tokio::test]
async fn without_a_program_the_remote_answers_and_a_jobs_directory_fails() {
    let home = Home::new();
    let missing = home.path("not-there");
    let api = context(Global::default());
    let server = home.requester(&api, &missing).first_server().await;
    assert!(reason(server.unwrap()).unwrap().contains("DOCKSD"));
    let jobs = context(home.jobs());
    let server = home.requester(&jobs, &missing).first_server().await;
    let failure = server.unwrap_err();
    assert!(failure.message.contains("DOCKSD"), "{failure:?}");
}

#[tokio::test]
async fn a_socket_that_others_could_have_created_gets_no_request() {
    let home = Home::new();
    let program = home.program("unused");
    let _theirs = BlockingListener::bind(home.path("run/docksd.sock")).unwrap();
    let context = context(Global::default());
    let requester = home.requester(&context, &program);
    fs::set_permissions(home.path("run"), fs::Permissions::from_mode(0o777)).unwrap();
    let server = requester.first_server().await.unwrap();
    assert!(reason(server).unwrap().contains("written by other users"));
    fs::set_permissions(home.path("run"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::rename(home.path("run"), home.path("elsewhere")).unwrap();
    std::os::unix::fs::symlink(home.path("elsewhere"), home.path("run")).unwrap();
    let server = requester.first_server().await.unwrap();
    assert!(reason(server).unwrap().contains("not a directory"));
    assert_eq!(home.runs_of_program(), 0);
}

#[tokio::test]
async fn a_switched_off_daemon_is_neither_asked_nor_started() {
    let home = Home::new();
    let program = home.program("unused");
    let api = context(Global {
        no_daemon: true,
        ..Global::default()
    });
    let requester = home.requester(&api, &program);
    let server = requester.first_server().await.unwrap();
    assert_eq!(reason(server), None, "who typed the option knows");
    let error = ClientError::InvalidReply("the remote is down".to_owned());
    let mut attempts = Attempts::default();
    let daemon = requester.after_remote(&error, &mut attempts).await;
    assert!(daemon.is_none());
    let jobs = context(Global {
        no_daemon: true,
        ..home.jobs()
    });
    let server = home.requester(&jobs, &program).first_server().await;
    assert_eq!(server.unwrap_err().kind, Kind::Usage);
    assert_eq!(home.runs_of_program(), 0);
}

#[tokio::test]
async fn a_daemon_that_breaks_off_again_and_again_is_given_up() {
    let home = Home::new();
    let program = home.program("unused");
    let listener = UnixListener::bind(home.path("run/docksd.sock")).unwrap();
    let breaking = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            drop::<UnixStream>(stream);
        }
    });
    let context = context(Global::default());
    let requester = home.requester(&context, &program);
    let mut server = requester.first_server().await.unwrap();
    let mut attempts = Attempts::default();
    while let Server::Daemon(client) = &server {
        let error = list(client).await.expect_err("it breaks off");
        let next = requester.after_daemon(&error, &mut attempts).await;
        server = next.unwrap().unwrap();
        assert!(attempts.daemon_failures < 10, "it never stops");
    }
    breaking.abort();
}

#[tokio::test]
async fn what_the_environment_changes_goes_to_the_daemon_as_headers() {
    let home = Home::new();
    let program = home.program("unused");
    let api = context(Global::default());
    let headers = home.requester(&api, &program).remote.headers().unwrap();
    assert_eq!(headers[routes::API_URL], "http://127.0.0.1:9");
    assert_eq!(headers[header::AUTHORIZATION], "Bearer tok");
    assert!(!format!("{headers:?}").contains("tok\""), "{headers:?}");
    let dir = home.dir.path().join("my jobs %");
    fs::create_dir(&dir).unwrap();
    let jobs = context(Global {
        harbor: vec![dir],
        ..Global::default()
    });
    let headers = home.requester(&jobs, &program).remote.headers().unwrap();
    let sent = headers[routes::HARBOR_JOBS].to_str().unwrap();
    assert!(sent.ends_with("/my%20jobs%20%25"), "{sent}");
    assert!(!headers.contains_key(header::AUTHORIZATION));
}
