//! `docks runs watch --notify`, with a session bus and a notification service of the test.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use dbus::Message;
use dbus::blocking::LocalConnection;
use dbus::channel::Channel;

use crate::remote::Remote;
use crate::sealed::CommandResult;
use crate::test_home::{TestHome, eventually};
use crate::watch::FakeRun;

/// What a notification said: title and text.
type Shown = (String, String);

/// How long a test waits for a notification; longer means that there will be none.
const PATIENCE: Duration = Duration::from_secs(60);

/// A session bus, which ends with the test.
pub(crate) struct Bus {
    daemon: Child,
    pub(crate) address: String,
}

impl Bus {
    /// Starts one for a test; `None`, and the test is reported as skipped, without `dbus-daemon`.
    pub(crate) fn start(test: &str, home: &TestHome) -> Option<Self> {
        let socket = home.path("bus").display().to_string();
        let config = home.path("bus.conf");
        // No service directories: asking for a name starts nothing of this machine's.
        let text = format!(
            "<busconfig><type>session</type><listen>unix:path={socket}</listen>\
             <policy context=\"default\"><allow send_destination=\"*\"/>\
             <allow receive_sender=\"*\"/><allow own=\"*\"/>\
             </policy></busconfig>"
        );
        std::fs::write(&config, text).unwrap();
        let started = Command::new("dbus-daemon")
            .args(["--nofork", "--nopidfile", "--print-address"])
            .arg(format!("--config-file={}", config.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut daemon) = started else {
            docksd_testkit::skip(test, "dbus-daemon is not installed");
            return None;
        };
        let mut address = String::new();
        let stdout = daemon.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut address).unwrap();
        let address = address.trim().to_owned();
        Some(Self { daemon, address })
    }

    /// Starts a service that shows notifications by sending what they say; it ends with the bus.
    pub(crate) fn service(&self) -> Receiver<Shown> {
        let (address, (told, shown)) = (self.address.clone(), channel());
        let (ready, begun) = channel();
        std::thread::spawn(move || serve(&address, &ready, &told));
        begun.recv_timeout(PATIENCE).unwrap();
        shown
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        drop(self.daemon.kill());
        drop(self.daemon.wait());
    }
}

fn serve(address: &str, ready: &Sender<()>, told: &Sender<Shown>) {
    let mut to_bus = Channel::open_private(address).unwrap();
    to_bus.register().unwrap();
    let connection = LocalConnection::from(to_bus);
    let name = "org.freedesktop.Notifications";
    connection.request_name(name, false, true, true).unwrap();
    ready.send(()).unwrap();
    let bus = connection.channel();
    while bus.read_write(Some(Duration::from_secs(1))).is_ok() {
        while let Some(asked) = bus.pop_message() {
            if let Some(answer) = answer(&asked, told) {
                bus.send(answer).unwrap();
            }
        }
    }
}

fn answer(asked: &Message, told: &Sender<Shown>) -> Option<Message> {
    let about = asked.method_return();
    match &*asked.member()? {
        "GetServerInformation" => Some(about.append3("test", "docks", "1").append1("1.2")),
        "Notify" => {
            let (_, _, _, title, text) = asked
                .read5::<String, u32, String, String, String>()
                .unwrap();
            // The test may have ended.
            drop(told.send((title, text)));
            Some(about.append1(7_u32))
        }
        _ => None,
    }
}

fn watch(home: &TestHome, address: Option<&str>, line: &str) -> CommandResult {
    let mut command = home.command(line);
    command.env("DOCKS_USE_KEYRING", "false");
    if let Some(address) = address {
        command.env("DBUS_SESSION_BUS_ADDRESS", address);
    }
    CommandResult::new(command.output().unwrap())
}

fn warnings(ended: &CommandResult) -> Vec<&str> {
    let lines = ended.stderr.lines();
    lines.filter(|line| line.starts_with("warning")).collect()
}

#[test]
fn the_end_of_a_run_is_notified_once_without_its_markup() {
    let night = FakeRun::new(1);
    night.trial(0, "passed");
    night.run("completed");
    let remote = Remote::start(move |asked| {
        let (status, body) = night.answer(asked);
        let name = r#""<b>R&D\u001b[31m""#;
        (status, body.replace(r#""night""#, name))
    });
    let home = TestHome::with_remote(&remote);
    let Some(bus) = Bus::start(
        "watch_notify::the_end_of_a_run_is_notified_once_without_its_markup",
        &home,
    ) else {
        return;
    };
    let shown = bus.service();
    let ended = watch(&home, Some(&bus.address), "runs watch n1 --notify");
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(warnings(&ended).is_empty(), "{}", ended.stderr);
    let all: Vec<Shown> = shown.try_iter().collect();
    let wanted = ("‹b›R＆D: completed", "1/1 trials, 1 passed");
    assert_eq!(all, [(wanted.0.to_owned(), wanted.1.to_owned())]);
}

#[test]
fn a_watch_without_a_notification_service_warns_once_and_continues() {
    let night = FakeRun::new(1);
    let remote = night.start();
    let home = TestHome::with_remote(&remote);
    night.trial(0, "passed");
    night.run("failed");
    let line = "runs watch night --notify --exit-status";
    let no_session = watch(&home, None, line);
    assert_eq!(no_session.code, Some(10), "{}", no_session.stderr);
    assert_eq!(
        warnings(&no_session),
        ["warning: --notify: there is no desktop session (no session bus)"]
    );
    assert!(no_session.stdout.contains("\tfailed"), "{no_session:?}");
    let no_bus = watch(&home, Some("unix:path=/nowhere/bus"), line);
    assert_eq!((no_bus.code, warnings(&no_bus).len()), (Some(10), 1));
    let Some(bus) = Bus::start(
        "watch_notify::a_watch_without_a_notification_service_warns_once_and_continues",
        &home,
    ) else {
        return;
    };
    let no_service = watch(&home, Some(&bus.address), line);
    assert_eq!(no_service.code, Some(10), "{}", no_service.stderr);
    let [warning] = warnings(&no_service)[..] else {
        panic!("{}", no_service.stderr);
    };
    assert!(
        warning.starts_with("warning: --notify: the notification service cannot be reached"),
        "{warning}"
    );
}

#[test]
fn an_on_end_rule_notifies_without_a_watch() {
    let night = FakeRun::new(1);
    let remote = night.start();
    let home = TestHome::with_remote(&remote);
    let Some(bus) = Bus::start(
        "watch_notify::an_on_end_rule_notifies_without_a_watch",
        &home,
    ) else {
        return;
    };
    let shown = bus.service();
    let rules = "log_level = \"info,docksd::ends=debug\"\n[[on_end]]\nname = \"ni*\"\nnotify = true\n\n\
                 [[on_end]]\nstatus = \"cancelled\"\nexec = [\"/bin/false\"]\n";
    std::fs::write(home.path("docks/daemon.toml"), rules).unwrap();
    assert_eq!(
        watch(&home, Some(&bus.address), "daemon start").code,
        Some(0)
    );
    home.run("runs trials night --fresh").expect_success();
    eventually("the rules stand and the history is followed", || {
        let log = home.run("daemon logs").stdout;
        log.contains("2 on_end rules are active") && log.contains("for runs that have ended")
    });
    night.trial(0, "failed");
    night.run("failed");
    let said = shown.recv_timeout(PATIENCE).unwrap();
    assert_eq!(
        said,
        (
            "night: failed".to_owned(),
            "1/1 trials, 0 passed".to_owned()
        )
    );
    home.stop();
    assert_eq!(shown.try_iter().count(), 0);
    std::fs::write(home.path("docks/daemon.toml"), "[[on_end]]\nnotfy = true\n").unwrap();
    let refused = home.run("daemon start");
    let why = "`on_end` in";
    assert!(
        refused.stderr.contains(why) && refused.stderr.contains("`notfy`"),
        "{refused:?}"
    );
}
