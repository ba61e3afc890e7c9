//! Claims about the ladder, against sockets and programs that misbehave.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener as BlockingListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use docks_proto::client::{Client, ClientError};
use docks_proto::freshness::CachePolicy;
use docks_proto::paths::PathVariables;
use docks_proto::query::ListQuery;
use docks_proto::routes::RunKind;
use docks_proto::settings::Environment as Variables;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use super::*;

struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        let home = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        files::make_private_dir(&home.path("run")).unwrap();
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("docks").join(name)
    }

    /// A program in place of docksd, which says `report` and notes that it ran.
    fn program(&self, report: &str) -> PathBuf {
        let program = self.path("fake-docksd");
        let notes = self.path("notes");
        let script = format!(
            "#!/bin/sh\nenv > '{0}.env'\necho \"$*\" >> '{0}'\necho '{report}'\n",
            notes.display()
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

    fn ladder(&self, docksd: &Path) -> Ladder {
        Ladder::new(&Global::default(), self.environment(docksd)).unwrap()
    }

    fn jobs_ladder(&self, docksd: &Path) -> Ladder {
        let global = Global {
            harbor: vec![self.dir.path().to_owned()],
            ..Global::default()
        };
        Ladder::new(&global, self.environment(docksd)).unwrap()
    }

    fn runs_of_program(&self) -> usize {
        fs::read_to_string(self.path("notes")).map_or(0, |text| text.lines().count())
    }
}

async fn list(client: &Client) -> Result<docks_proto::client::Answer, ClientError> {
    client
        .list_runs(RunKind::Run, &ListQuery::default(), CachePolicy::Default)
        .await
}

fn why(reached: Reached) -> Option<String> {
    match reached {
        Reached::Remote { why, .. } => why,
        Reached::Daemon(_) => panic!("the daemon was reached"),
    }
}

/// Asks the daemon that should be there and returns what the ladder makes of its failure.
async fn fall_from_daemon(ladder: &Ladder) -> Result<Option<Reached>, Failure> {
    let Reached::Daemon(client) = ladder.reach().await.unwrap() else {
        panic!("the socket was not tried");
    };
    let error = list(&client).await.expect_err("nobody answers here");
    ladder.fall(&error).await
}

/// A daemon of another protocol, which ends when asked; counts requests to end.
async fn other_protocol(socket: PathBuf, ended: Arc<AtomicUsize>) {
    let listener = UnixListener::bind(&socket).unwrap();
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut text = [0; 4096];
        let read = stream.read(&mut text).await.unwrap_or(0);
        let answer = b"HTTP/1.1 200 OK\r\ndocks-protocol: 9999\r\ncontent-length: 2\r\n\r\n{}";
        // A caller that only looks whether somebody accepts is gone by now.
        drop(stream.write_all(answer).await);
        if text[..read].starts_with(b"POST /v1/shutdown ") {
            ended.fetch_add(1, Ordering::SeqCst);
            break;
        }
    }
    fs::remove_file(&socket).unwrap();
}

#[tokio::test]
async fn a_silent_daemon_is_passed_by_for_the_remote() {
    let home = Home::new();
    let program = home.program("unused");
    let _silent = BlockingListener::bind(home.path("run/docksd.sock")).unwrap();
    let ladder = home.ladder(&program);
    let reached = fall_from_daemon(&ladder).await.unwrap().unwrap();
    let why = why(reached).unwrap();
    assert!(why.contains("does not answer"), "{why}");
    assert!(why.contains(&std::process::id().to_string()), "{why}");
    let again = ladder.mirror_instead().await;
    assert!(again.is_none(), "it is not waited for twice");
    assert_eq!(home.runs_of_program(), 0);
}

#[tokio::test]
async fn a_silent_daemon_is_a_failure_where_only_it_can_answer() {
    let home = Home::new();
    let program = home.program("unused");
    let _silent = BlockingListener::bind(home.path("run/docksd.sock")).unwrap();
    let failure = fall_from_daemon(&home.jobs_ladder(&program))
        .await
        .expect_err("a jobs directory has no other reader");
    assert_eq!(failure.kind, Kind::Unreachable);
    assert!(failure.message.contains("does not answer"));
}

#[tokio::test]
async fn a_left_over_socket_leads_to_a_new_daemon_and_meanwhile_the_remote() {
    let home = Home::new();
    let program = home.program(r#"{"ready":true,"pid":1}"#);
    drop(BlockingListener::bind(home.path("run/docksd.sock")).unwrap());
    let ladder = home.ladder(&program);
    let reached = fall_from_daemon(&ladder).await.unwrap().unwrap();
    assert_eq!(why(reached), None);
    assert_eq!(start_daemon::start(&ladder.door).await, Ok(()));
    assert_eq!(home.runs_of_program(), 1, "it was started once");
}

#[tokio::test]
async fn the_daemon_inherits_nothing_that_picks_a_remote() {
    // The variables of this very process count, since a child inherits those.
    let home = Home::new();
    let program = home.program(r#"{"ready":true,"pid":1}"#);
    let ladder = home.ladder(&program);
    start_daemon::start(&ladder.door).await.unwrap();
    let inherited = fs::read_to_string(home.path("notes.env")).unwrap();
    for name in start_daemon::NOT_INHERITED {
        assert!(!inherited.contains(&format!("{name}=")), "{name}");
    }
    assert_eq!(
        fs::read_to_string(home.path("notes")).unwrap(),
        "--report\n"
    );
}

#[tokio::test]
async fn a_daemon_of_another_protocol_is_asked_to_end_and_replaced() {
    let home = Home::new();
    let program = home.program(r#"{"ready":true,"pid":1}"#);
    let ended = Arc::new(AtomicUsize::new(0));
    let other = tokio::spawn(other_protocol(
        home.path("run/docksd.sock"),
        Arc::clone(&ended),
    ));
    tokio::task::yield_now().await;
    let ladder = home.ladder(&program);
    let reached = fall_from_daemon(&ladder).await.unwrap().unwrap();
    assert_eq!(why(reached), None);
    other.await.unwrap();
    assert_eq!(ended.load(Ordering::SeqCst), 1);
    start_daemon::start(&ladder.door).await.unwrap();
    assert_eq!(home.runs_of_program(), 1);
}

#[tokio::test]
async fn a_daemon_that_cannot_start_says_its_reason() {
    let home = Home::new();
    let program = home.program(r#"{"ready":false,"reason":"the disk is full","code":"x"}"#);
    let ladder = home.jobs_ladder(&program);
    let failure = ladder.reach().await.expect_err("it did not start");
    assert!(failure.message.contains("the disk is full"), "{failure:?}");
    let program = home.program("hello");
    let ladder = home.jobs_ladder(&program);
    let failure = ladder.reach().await.expect_err("it did not start");
    assert!(failure.message.contains("makes no sense"), "{failure:?}");
    fs::write(&program, "#!/bin/sh\nexit 3\n").unwrap();
    let ladder = home.jobs_ladder(&program);
    let failure = ladder.reach().await.expect_err("it did not start");
    assert!(failure.message.contains("without a word"), "{failure:?}");
}

#[tokio::test]
async fn without_a_program_the_remote_answers_and_a_jobs_directory_says_so() {
    let home = Home::new();
    let missing = home.path("not-there");
    let reached = home.ladder(&missing).reach().await.unwrap();
    assert!(why(reached).unwrap().contains("DOCKSD"));
    let failure = home.jobs_ladder(&missing).reach().await.unwrap_err();
    assert!(failure.message.contains("DOCKSD"), "{failure:?}");
}

#[tokio::test]
async fn a_socket_that_others_could_have_made_gets_no_request() {
    let home = Home::new();
    let program = home.program("unused");
    let _theirs = BlockingListener::bind(home.path("run/docksd.sock")).unwrap();
    fs::set_permissions(home.path("run"), fs::Permissions::from_mode(0o777)).unwrap();
    let reached = home.ladder(&program).reach().await.unwrap();
    assert!(why(reached).unwrap().contains("written by other users"));
    fs::set_permissions(home.path("run"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::rename(home.path("run"), home.path("elsewhere")).unwrap();
    std::os::unix::fs::symlink(home.path("elsewhere"), home.path("run")).unwrap();
    let reached = home.ladder(&program).reach().await.unwrap();
    assert!(why(reached).unwrap().contains("no directory"));
    assert_eq!(home.runs_of_program(), 0);
}

#[tokio::test]
async fn a_switched_off_daemon_is_neither_asked_nor_started() {
    let home = Home::new();
    let program = home.program("unused");
    let global = Global {
        no_daemon: true,
        ..Global::default()
    };
    let ladder = Ladder::new(&global, home.environment(&program)).unwrap();
    let reached = ladder.reach().await.unwrap();
    assert_eq!(why(reached), None, "who typed the option knows");
    assert!(ladder.mirror_instead().await.is_none());
    let global = Global {
        harbor: vec![home.dir.path().to_owned()],
        ..global
    };
    let ladder = Ladder::new(&global, home.environment(&program)).unwrap();
    assert_eq!(ladder.reach().await.unwrap_err().kind, Kind::Usage);
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
    let ladder = home.ladder(&program);
    let mut reached = ladder.reach().await.unwrap();
    let mut falls = 0;
    while let Reached::Daemon(client) = &reached {
        let error = list(client).await.expect_err("it breaks off");
        reached = ladder.fall(&error).await.unwrap().unwrap();
        falls += 1;
        assert!(falls < 10, "it goes round in circles");
    }
    breaking.abort();
}

#[tokio::test]
async fn what_the_environment_changed_goes_to_the_daemon_as_headers() {
    let home = Home::new();
    let program = home.program("unused");
    let headers = home.ladder(&program).headers().unwrap();
    assert_eq!(headers[routes::API_URL], "http://127.0.0.1:9");
    assert_eq!(headers[header::AUTHORIZATION], "Bearer tok");
    assert!(!format!("{headers:?}").contains("tok\""), "{headers:?}");
    let jobs = home.dir.path().join("my jobs %");
    fs::create_dir(&jobs).unwrap();
    let global = Global {
        harbor: vec![jobs],
        ..Global::default()
    };
    let ladder = Ladder::new(&global, home.environment(&program)).unwrap();
    let headers = ladder.headers().unwrap();
    let sent = headers[routes::HARBOR_JOBS].to_str().unwrap();
    assert!(sent.ends_with("/my%20jobs%20%25"), "{sent}");
    assert!(!headers.contains_key(header::AUTHORIZATION));
}
